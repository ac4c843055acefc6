//! A chain as one snapshot: byte for byte the one that would have been taken of its state directly.

use crate::PAGE;
use crate::chain::Resolved;
use crate::encode::{Sizes, write_head};
use crate::error::{Result, SnapshotError};
use crate::frame::Compressor;
use crate::layout::{Header, PageEntry, WHOLE};
use crate::output::Output;
use crate::records::PageRef;
use crate::room;

impl Resolved<'_> {
    /// Bytes of the state as one snapshot without compression; partial if the chain is.
    ///
    /// # Errors
    /// [`SnapshotError::Unencodable`] where no file can be that large.
    pub fn merged_size(&self) -> Result<usize> {
        self.sizes().map(|sizes| sizes.file())
    }

    /// Writes the state as one snapshot into a buffer of [exactly its size](Resolved::merged_size).
    ///
    /// # Errors
    /// [`SnapshotError::WrongSize`] where the buffer has another size; [`SnapshotError::DamagedPage`] where the files
    /// are damaged.
    pub fn merge_into(&self, out: &mut [u8]) -> Result<()> {
        let sizes = self.sizes()?;
        let (wanted, found) = (sizes.file() as u64, out.len() as u64);
        let wrong = SnapshotError::WrongSize { wanted, found };
        if wanted != found {
            return Err(wrong);
        }
        let (head, data) = out.split_at_mut_checked(sizes.head()).ok_or(wrong)?;
        let (places, _) = data.as_chunks_mut::<PAGE>();
        self.put_pages(None, places, |place| place.number)?;
        write_head(head, &self.header(&sizes, sizes.data as u64, false), self.skeleton_bytes(), &self.table(&sizes)?)
    }

    /// Writes the state as one snapshot with its pages compressed to the end of `out`, which is empty.
    ///
    /// # Errors
    /// As of [`Resolved::merge_into`]; [`SnapshotError::Host`] where there is no room for it.
    pub fn merge_compressed(&self, level: i32, out: &mut impl Output) -> Result<()> {
        let sizes = self.sizes()?;
        out.append(&room::zeros(sizes.head())?)?;
        if sizes.data > 0 {
            let mut frame = Compressor::new(out, sizes.data as u64, level)?;
            self.for_each_page(|page| frame.record(page))?;
            frame.finish()?;
        }
        let file = out.bytes();
        let (wanted, found) = (sizes.head() as u64, file.len() as u64);
        let wrong = SnapshotError::WrongSize { wanted, found };
        let (head, data) = file.split_at_mut_checked(sizes.head()).ok_or(wrong)?;
        write_head(head, &self.header(&sizes, data.len() as u64, true), self.skeleton_bytes(), &self.table(&sizes)?)
    }

    fn sizes(&self) -> Result<Sizes> {
        let pages: usize = self.memories().iter().map(Vec::len).sum();
        Sizes::new(self.skeleton_bytes(), self.memories().len(), pages, pages.checked_mul(PAGE))
    }

    fn header(&self, sizes: &Sizes, data: u64, compressed: bool) -> Header {
        let Sizes { skeleton, table, .. } = *sizes;
        let (partial, image, id) = (self.is_partial(), *self.image(), *self.id());
        Header { compressed, partial, image, id, base: None, skeleton, table: table as u64, data }
    }

    fn table(&self, sizes: &Sizes) -> Result<Vec<u8>> {
        let mut table = room::empty(sizes.table)?;
        for pages in self.memories() {
            table.extend_from_slice(&(pages.len() as u64).to_le_bytes());
            for PageRef { page, hash, .. } in pages {
                PageEntry { page: *page, length: WHOLE, hash }.encode(&mut table);
            }
        }
        Ok(table)
    }
}
