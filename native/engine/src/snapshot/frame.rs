//! The page data of a compressed snapshot: one zstd frame.

use super::PAGE;
use super::error::{Result, SnapshotError};
use std::io::{Read, Write};
use zstd::stream::{read, write};
use zstd::zstd_safe;

/// The largest window that a frame may ask of its reader: 8 MiB, what RFC 8878 recommends to support.
const WINDOW_LOG: u32 = 23;

/// The highest level that keeps to that window.
const MAX_LEVEL: i32 = 19;

/// Makes a frame of pages.
pub(super) struct Compressor(write::Encoder<'static, Vec<u8>>);

impl Compressor {
    /// Appends the frame to `out`. Its header names the number of bytes in it: readers insist on that.
    pub(super) fn new(out: Vec<u8>, pages: usize, level: i32) -> Result<Compressor> {
        let bytes = (pages as u64).saturating_mul(PAGE as u64);
        let make = || {
            let mut encoder = write::Encoder::new(out, level.min(MAX_LEVEL))?;
            encoder.include_contentsize(true)?;
            encoder.set_pledged_src_size(Some(bytes))?;
            Ok(encoder)
        };
        make().map(Compressor).map_err(host)
    }

    pub(super) fn page(&mut self, page: &[u8; PAGE]) -> Result<()> {
        self.0.write_all(page).map_err(host)
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.0.finish().map_err(host)
    }
}

fn host(error: std::io::Error) -> SnapshotError {
    SnapshotError::Host(error.to_string())
}

/// Whether `data` looks like exactly one frame of exactly that many pages, as far as that shows without decompressing.
pub(super) fn check(data: &[u8], pages: u64) -> Result<()> {
    let bytes = pages.checked_mul(PAGE as u64);
    let ends = zstd_safe::find_frame_compressed_size(data).ok();
    if !data.starts_with(&zstd_safe::MAGICNUMBER.to_le_bytes()) || ends != Some(data.len()) {
        return Err(SnapshotError::Malformed("page data that is not exactly one zstd frame"));
    }
    if bytes.is_none() || zstd_safe::get_frame_content_size(data).ok().flatten() != bytes {
        return Err(SnapshotError::Malformed("a zstd frame that does not announce the pages of the page table"));
    }
    Ok(())
}

/// Yields the pages of a frame, one after the other: as many as are asked for, never more.
pub(super) struct Pages<'a> {
    decoder: read::Decoder<'static, &'a [u8]>,
    pages: usize,
    next: usize,
}

impl<'a> Pages<'a> {
    pub(super) fn new(data: &'a [u8], pages: usize) -> Result<Pages<'a>> {
        let mut decoder = read::Decoder::with_buffer(data).map_err(host)?.single_frame();
        decoder.window_log_max(WINDOW_LOG).map_err(host)?;
        Ok(Pages { decoder, pages, next: 0 })
    }

    /// Reads the page at `slot`, which must not lie before one that has been read. `None` where the frame is damaged.
    pub(super) fn read(&mut self, slot: usize, page: &mut [u8; PAGE]) -> Option<()> {
        while self.next <= slot {
            self.decoder.read_exact(page).ok()?;
            self.next += 1;
        }
        // After the last page the frame must end: one more byte would be one too many.
        let more = self.next == self.pages && self.decoder.read(&mut [0]).ok()? != 0;
        if more { None } else { Some(()) }
    }
}
