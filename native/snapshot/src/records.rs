//! Records, as files have them of pages, and how pages come of them.

use crate::PAGE;
use crate::error::{Result, SnapshotError};
use crate::frame::Unreadable;
use crate::layout::{PageHash, hash_page};
use crate::pages::is_zero;
use crate::{frame, patch, room};

/// Where the contents of a page are, or a patch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// The snapshot of the chain that they are in.
    pub(crate) file: usize,
    /// Where in its page data, as that is without compression.
    pub(crate) start: u64,
    pub(crate) length: u16,
    /// Of a patch: which of the records under patches it is a patch of. None: of a page of zeros.
    pub(crate) under: Option<usize>,
}

impl Record {
    /// Makes of a page what the record says, if the page is what it is a patch of.
    pub(crate) fn put(&self, bytes: &[u8], page: &mut [u8; PAGE]) -> Option<()> {
        if let Ok(whole) = <&[u8; PAGE]>::try_from(bytes) {
            *page = *whole;
            return Some(());
        }
        if self.under.is_none() {
            *page = [0; PAGE];
        }
        patch::apply(bytes, page)
    }

    /// The records that make the page, the last one first, with those that patches lie on.
    pub(crate) fn layers(self, under: &[Record]) -> impl Iterator<Item = Record> {
        std::iter::successors(Some(self), |record| under.get(record.under?).copied())
    }

    fn of<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.start).ok()?;
        data.get(start..)?.get(..usize::from(self.length))
    }
}

/// A page that is not zero, of a state that snapshots hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRef<'a> {
    /// Its index in its memory.
    pub(crate) page: u64,
    pub(crate) hash: &'a PageHash,
    pub(crate) record: Record,
}

/// Where a page belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) memory: usize,
    pub(crate) page: u64,
    /// How many pages of the state belong before it.
    pub(crate) number: usize,
}

impl Place {
    pub(crate) fn check(&self, contents: &[u8; PAGE], hash: &PageHash) -> Result<()> {
        if hash_page(contents) != *hash {
            return Err(self.damaged());
        }
        if is_zero(contents) {
            let what = "is zero, but stored";
            return Err(SnapshotError::MalformedPage { memory: self.memory, page: self.page, what });
        }
        Ok(())
    }

    pub(crate) fn damaged(&self) -> SnapshotError {
        SnapshotError::DamagedPage { memory: self.memory, page: self.page }
    }
}

/// The page data of one file.
pub(crate) struct File<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) compressed: bool,
    /// Bytes without compression.
    pub(crate) plain: u64,
}

impl<'a> File<'a> {
    /// Ready to read records in their order. A small frame is decompressed at once: a decompressor would take more room
    /// than what is in it, and a state may need as many as it has files.
    pub(crate) fn open(&self) -> Result<Open<'a>> {
        if !self.compressed {
            return Ok(Open::Plain(self.data));
        }
        let frame = frame::Records::new(self.data, self.plain)?;
        Ok(match usize::try_from(self.plain) {
            Ok(bytes @ ..=SMALL) => match frame.all(bytes) {
                Ok(records) => Open::Small(records),
                // A damaged frame has no records.
                Err(Unreadable::Damaged) => Open::Small(Vec::new()),
                Err(Unreadable::Host(error)) => return Err(error),
            },
            _ => Open::Frame(Box::new(frame)),
        })
    }
}

/// About what a decompressor takes.
const SMALL: usize = 128 << 10;

/// A file of which records are read in their order.
pub(crate) enum Open<'a> {
    Plain(&'a [u8]),
    Small(Vec<u8>),
    Frame(Box<frame::Records<'a>>),
}

impl Open<'_> {
    /// The bytes of a record of a page.
    pub(crate) fn read(&mut self, record: &Record, place: Place) -> Result<&[u8]> {
        match self {
            Open::Plain(data) => record.of(data).ok_or(place.damaged()),
            Open::Small(data) => record.of(data).ok_or(place.damaged()),
            Open::Frame(frame) => frame.read(record.start, record.length).map_err(|error| match error {
                Unreadable::Damaged => place.damaged(),
                Unreadable::Host(error) => error,
            }),
        }
    }
}

/// Yields pages of a state in their order, holding one at a time. The records of each file are in the same order, so
/// that each compressed file is decompressed at most once.
pub(crate) struct InOrder<'r, 'a> {
    files: &'r [File<'a>],
    /// What patches are patches of.
    under: &'r [Record],
    open: Vec<Option<Open<'a>>>,
    page: [u8; PAGE],
    layers: Vec<Record>,
}

impl<'r, 'a> InOrder<'r, 'a> {
    pub(crate) fn new(files: &'r [File<'a>], under: &'r [Record]) -> Result<InOrder<'r, 'a>> {
        let mut open = room::empty(files.len())?;
        open.extend(files.iter().map(|_| None));
        Ok(InOrder { files, under, open, page: [0; PAGE], layers: Vec::new() })
    }

    /// The contents of a page, not checked against its hash.
    pub(crate) fn page(&mut self, place: Place, page: &PageRef) -> Result<&[u8; PAGE]> {
        if let Some(whole) = self.whole(&page.record) {
            return Ok(whole);
        }
        self.layers.clear();
        for record in page.record.layers(self.under) {
            room::push(&mut self.layers, record)?;
        }
        for record in self.layers.iter().rev() {
            let file = self.files.get(record.file).zip(self.open.get_mut(record.file));
            let (file, open) = file.ok_or(place.damaged())?;
            let open = match open {
                Some(open) => open,
                None => open.insert(file.open()?),
            };
            let bytes = open.read(record, place)?;
            record.put(bytes, &mut self.page).ok_or(place.damaged())?;
        }
        Ok(&self.page)
    }

    /// The contents of a page where they stand in a file as they are.
    fn whole(&self, record: &Record) -> Option<&'a [u8; PAGE]> {
        let file = self.files.get(record.file).filter(|file| !file.compressed)?;
        record.of(file.data)?.try_into().ok()
    }
}
