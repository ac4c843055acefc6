//! Records, as files have them of pages, and how pages come of them.

use super::PAGE;
use super::chain::{Place, Resolved};
use super::error::Result;
use super::frame;
use super::pages::PageRef;

/// Where the contents of a page are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The snapshot of the chain that they are in.
    pub(super) file: usize,
    /// Where in its page data, as that is without compression.
    pub(super) start: u64,
    pub(super) length: u16,
}

impl Record {
    /// Makes of a page what the record says.
    pub(super) fn put(&self, bytes: &[u8], page: &mut [u8; PAGE]) -> Option<()> {
        *page = *<&[u8; PAGE]>::try_from(bytes).ok()?;
        Some(())
    }

    fn of<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.start).ok()?;
        data.get(start..)?.get(..usize::from(self.length))
    }
}

/// The page data of one file.
pub(super) struct File<'a> {
    pub(super) data: &'a [u8],
    pub(super) compressed: bool,
    /// Bytes without compression.
    pub(super) plain: u64,
}

impl<'a> File<'a> {
    pub(super) fn open(&self) -> Result<Open<'a>> {
        if self.compressed {
            frame::Records::new(self.data, self.plain).map(Open::Frame)
        } else {
            Ok(Open::Plain(self.data))
        }
    }
}

/// A file of which records are read in their order.
#[expect(clippy::large_enum_variant, reason = "there are as many as files")]
pub(super) enum Open<'a> {
    Plain(&'a [u8]),
    Frame(frame::Records<'a>),
}

impl Open<'_> {
    /// `None` where the file is damaged.
    pub(super) fn read(&mut self, record: &Record) -> Option<&[u8]> {
        match self {
            Open::Plain(data) => record.of(data),
            Open::Frame(frame) => frame.read(record.start, record.length),
        }
    }
}

/// Yields pages of a state in their order, holding one at a time. The records of each file are in the same order, so
/// that each compressed file is decompressed at most once.
pub(super) struct InOrder<'r, 'a> {
    state: &'r Resolved<'a>,
    open: Vec<Option<Open<'a>>>,
    page: [u8; PAGE],
}

impl<'r, 'a> InOrder<'r, 'a> {
    pub(super) fn new(state: &'r Resolved<'a>) -> InOrder<'r, 'a> {
        InOrder { state, open: state.files().iter().map(|_| None).collect(), page: [0; PAGE] }
    }

    /// The contents of a page, not checked against its hash.
    pub(super) fn page(&mut self, place: Place, page: &PageRef) -> Result<&[u8; PAGE]> {
        let record = &page.record;
        let (file, open) =
            self.state.files().get(record.file).zip(self.open.get_mut(record.file)).ok_or(place.damaged())?;
        if !file.compressed {
            return record.of(file.data).and_then(|bytes| bytes.try_into().ok()).ok_or(place.damaged());
        }
        let open = match open {
            Some(open) => open,
            None => open.insert(file.open()?),
        };
        let bytes = open.read(record).ok_or(place.damaged())?;
        record.put(bytes, &mut self.page).ok_or(place.damaged())?;
        Ok(&self.page)
    }
}
