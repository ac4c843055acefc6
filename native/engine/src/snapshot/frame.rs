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

/// Makes a frame of records.
pub(super) struct Compressor(write::Encoder<'static, Vec<u8>>);

impl Compressor {
    /// Appends the frame to `out`. Its header names the number of bytes in it: readers insist on that.
    pub(super) fn new(out: Vec<u8>, bytes: u64, level: i32) -> Result<Compressor> {
        let make = || {
            let mut encoder = write::Encoder::new(out, level.min(MAX_LEVEL))?;
            encoder.include_contentsize(true)?;
            encoder.set_pledged_src_size(Some(bytes))?;
            Ok(encoder)
        };
        make().map(Compressor).map_err(host)
    }

    pub(super) fn record(&mut self, record: &[u8]) -> Result<()> {
        self.0.write_all(record).map_err(host)
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.0.finish().map_err(host)
    }
}

fn host(error: std::io::Error) -> SnapshotError {
    SnapshotError::Host(error.to_string())
}

/// Whether `data` looks like exactly one frame of exactly that many bytes, as far as that shows without decompressing.
pub(super) fn check(data: &[u8], bytes: u64) -> Result<()> {
    let ends = zstd_safe::find_frame_compressed_size(data).ok();
    if !data.starts_with(&zstd_safe::MAGICNUMBER.to_le_bytes()) || ends != Some(data.len()) {
        return Err(SnapshotError::Malformed("page data that is not exactly one zstd frame"));
    }
    if zstd_safe::get_frame_content_size(data).ok().flatten() != Some(bytes) {
        return Err(SnapshotError::Malformed("a zstd frame that does not announce the page data of the page table"));
    }
    Ok(())
}

/// Yields the records of a frame, in order: as far as they are asked for, never more.
pub(super) struct Records<'a> {
    decoder: read::Decoder<'static, &'a [u8]>,
    bytes: u64,
    next: u64,
    buffer: [u8; PAGE],
}

impl<'a> Records<'a> {
    /// `bytes` are those of all records together.
    pub(super) fn new(data: &'a [u8], bytes: u64) -> Result<Records<'a>> {
        let mut decoder = read::Decoder::with_buffer(data).map_err(host)?.single_frame();
        decoder.window_log_max(WINDOW_LOG).map_err(host)?;
        Ok(Records { decoder, bytes, next: 0, buffer: [0; PAGE] })
    }

    /// All records, `bytes` together. `None` where the frame is damaged.
    pub(super) fn all(mut self, bytes: usize) -> Option<Vec<u8>> {
        let mut records = vec![0; bytes];
        self.decoder.read_exact(&mut records).ok()?;
        self.next = self.bytes;
        self.ends().then_some(records)
    }

    /// After the last record the frame must end: one more byte would be one too many.
    fn ends(&mut self) -> bool {
        self.next != self.bytes || matches!(self.decoder.read(&mut [0]), Ok(0))
    }

    /// Reads the record that begins at `start`, which must not lie before the end of one that has been read. `None`
    /// where the frame is damaged.
    pub(super) fn read(&mut self, start: u64, length: u16) -> Option<&[u8]> {
        let mut skip = start.checked_sub(self.next)?;
        while skip > 0 {
            let some = self.buffer.get_mut(..usize::try_from(skip).map_or(PAGE, |skip| skip.min(PAGE)))?;
            self.decoder.read_exact(some).ok()?;
            skip -= some.len() as u64;
        }
        let record = self.buffer.get_mut(..usize::from(length))?;
        self.decoder.read_exact(record).ok()?;
        self.next = start + u64::from(length);
        if self.ends() { self.buffer.get(..usize::from(length)) } else { None }
    }
}
