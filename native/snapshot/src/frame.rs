//! The page data of a compressed snapshot: one zstd frame.

use crate::PAGE;
use crate::error::{Result, SnapshotError};
use crate::output::Output;
use crate::room;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter, ErrorCode, InBuffer, OutBuffer};

/// The largest window that a frame may ask of its reader: 8 MiB, what RFC 8878 recommends to support.
const WINDOW_LOG: u32 = 23;

/// The highest level that keeps to that window.
const MAX_LEVEL: i32 = 19;

/// Bytes of a frame that are made before they go where the file is.
const CHUNK: usize = 128 << 10;

/// Makes a frame of records.
pub(crate) struct Compressor<'o, O> {
    context: CCtx<'static>,
    chunk: Vec<u8>,
    out: &'o mut O,
}

impl<'o, O: Output> Compressor<'o, O> {
    /// Appends the frame to `out`. Its header has the number of bytes in it, as readers require.
    pub(crate) fn new(out: &'o mut O, bytes: u64, level: i32) -> Result<Compressor<'o, O>> {
        let mut context = CCtx::try_create().ok_or_else(no_context)?;
        context.set_parameter(CParameter::CompressionLevel(level.min(MAX_LEVEL))).map_err(host)?;
        context.set_parameter(CParameter::ContentSizeFlag(true)).map_err(host)?;
        context.set_pledged_src_size(Some(bytes)).map_err(host)?;
        Ok(Compressor { context, chunk: room::empty(CHUNK)?, out })
    }

    pub(crate) fn record(&mut self, record: &[u8]) -> Result<()> {
        let mut input = InBuffer::around(record);
        while input.pos < record.len() {
            self.context.compress_stream(&mut OutBuffer::around(&mut self.chunk), &mut input).map_err(host)?;
            self.hand_over()?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        loop {
            let left = self.context.end_stream(&mut OutBuffer::around(&mut self.chunk)).map_err(host)?;
            self.hand_over()?;
            if left == 0 {
                return Ok(());
            }
        }
    }

    fn hand_over(&mut self) -> Result<()> {
        self.out.append(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

fn host(code: ErrorCode) -> SnapshotError {
    SnapshotError::Host(format!("zstd: {}", zstd_safe::get_error_name(code)))
}

fn no_context() -> SnapshotError {
    SnapshotError::Host("no room in memory for zstd".into())
}

/// Whether `data` looks like exactly one frame of exactly that many bytes, as far as that shows without decompressing.
pub(crate) fn check(data: &[u8], bytes: u64) -> Result<()> {
    let ends = zstd_safe::find_frame_compressed_size(data).ok();
    if !data.starts_with(&zstd_safe::MAGICNUMBER.to_le_bytes()) || ends != Some(data.len()) {
        return Err(SnapshotError::Malformed("page data that is not exactly one zstd frame"));
    }
    if zstd_safe::get_frame_content_size(data).ok().flatten() != Some(bytes) {
        return Err(SnapshotError::Malformed("a zstd frame that does not announce the page data of the page table"));
    }
    Ok(())
}

/// Why a record cannot be had.
pub(crate) enum Unreadable {
    /// The file is damaged there.
    Damaged,
    /// The host could not do its part.
    Host(SnapshotError),
}

/// A frame that is decompressed piece by piece.
struct Stream<'a> {
    context: DCtx<'static>,
    input: InBuffer<'a>,
    /// Whether the end of the frame has been read.
    has_ended: bool,
}

impl Stream<'_> {
    /// Fills `out` as far as the frame goes, and reports how far.
    fn read(&mut self, out: &mut [u8]) -> std::result::Result<usize, Unreadable> {
        let size = out.len();
        let mut out = OutBuffer::around(out);
        while out.pos() < size && !self.has_ended {
            let before = (out.pos(), self.input.pos);
            let hint = self.context.decompress_stream(&mut out, &mut self.input).map_err(unreadable)?;
            self.has_ended = hint == 0;
            if before == (out.pos(), self.input.pos) && !self.has_ended {
                break;
            }
        }
        Ok(out.pos())
    }

    fn fill(&mut self, out: &mut [u8]) -> std::result::Result<(), Unreadable> {
        if self.read(out)? == out.len() { Ok(()) } else { Err(Unreadable::Damaged) }
    }

    fn ends(&mut self) -> std::result::Result<bool, Unreadable> {
        Ok(self.read(&mut [0])? == 0 && self.has_ended)
    }
}

/// Yields the records of a frame, in order: as far as they are asked for, never more.
pub(crate) struct Records<'a> {
    stream: Stream<'a>,
    bytes: u64,
    next: u64,
    buffer: [u8; PAGE],
}

impl<'a> Records<'a> {
    /// `bytes` are those of all records together.
    pub(crate) fn new(data: &'a [u8], bytes: u64) -> Result<Records<'a>> {
        let mut context = DCtx::try_create().ok_or_else(no_context)?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(host)?;
        let stream = Stream { context, input: InBuffer::around(data), has_ended: false };
        Ok(Records { stream, bytes, next: 0, buffer: [0; PAGE] })
    }

    /// All records, `bytes` together.
    pub(crate) fn all(mut self, bytes: usize) -> std::result::Result<Vec<u8>, Unreadable> {
        let mut records = room::zeros(bytes).map_err(|error| Unreadable::Host(error.into()))?;
        self.stream.fill(&mut records)?;
        if self.stream.ends()? { Ok(records) } else { Err(Unreadable::Damaged) }
    }

    /// Reads the record that begins at `start`, which must not lie before the end of one that has been read.
    pub(crate) fn read(&mut self, start: u64, length: u16) -> std::result::Result<&[u8], Unreadable> {
        let mut skip = start.checked_sub(self.next).ok_or(Unreadable::Damaged)?;
        while skip > 0 {
            let size = usize::try_from(skip).map_or(PAGE, |skip| skip.min(PAGE));
            self.stream.fill(self.buffer.get_mut(..size).ok_or(Unreadable::Damaged)?)?;
            skip -= size as u64;
        }
        let record = self.buffer.get_mut(..usize::from(length)).ok_or(Unreadable::Damaged)?;
        self.stream.fill(record)?;
        self.next = start + u64::from(length);
        // After the last record the frame must end: one more byte would be one too many.
        if self.next == self.bytes && !self.stream.ends()? {
            return Err(Unreadable::Damaged);
        }
        Ok(record)
    }
}

/// Only where zstd finds no room the frame is not to blame.
fn unreadable(code: ErrorCode) -> Unreadable {
    match zstd_safe::get_error_name(code) {
        name if name.contains("not enough memory") => Unreadable::Host(SnapshotError::Host(format!("zstd: {name}"))),
        _ => Unreadable::Damaged,
    }
}
