//! The sections of a module, put together again with more in them.

use super::survey::Section;
use super::{RESERVED, malformed, too_large};
use crate::error::Error;
use std::borrow::Cow;
use std::collections::BTreeMap;
use wasm_encoder::{Encode, ExportKind, Module, RawSection, SectionId};
use wasmparser::BinaryReader;

/// The order of the sections, custom ones apart, which may stand anywhere. It is not that of their numbers.
const ORDER: [SectionId; 13] = [
    SectionId::Type,
    SectionId::Import,
    SectionId::Function,
    SectionId::Table,
    SectionId::Memory,
    SectionId::Tag,
    SectionId::Global,
    SectionId::Export,
    SectionId::Start,
    SectionId::Element,
    SectionId::DataCount,
    SectionId::Code,
    SectionId::Data,
];

/// What is appended to the sections of a module, by their place in [`ORDER`].
#[derive(Default)]
pub(super) struct Additions(BTreeMap<usize, Items>);

/// Items of one section, encoded.
#[derive(Default)]
struct Items {
    count: u32,
    bytes: Vec<u8>,
}

impl Additions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends what `encode` writes, which must be one item.
    pub(super) fn add(&mut self, section: SectionId, encode: impl FnOnce(&mut Vec<u8>)) {
        if let Some(place) = place(section.into()) {
            let items = self.0.entry(place).or_default();
            items.count = items.count.saturating_add(1);
            encode(&mut items.bytes);
        }
    }

    pub(super) fn export(&mut self, name: &str, kind: ExportKind, index: u32) {
        self.add(SectionId::Export, |bytes| {
            name.encode(bytes);
            kind.encode(bytes);
            index.encode(bytes);
        });
    }

    /// The name under which an item is exported: its own, or a reserved one that is added.
    pub(super) fn export_if_hidden(&mut self, own: Option<&str>, kind: ExportKind, index: u32) -> String {
        if let Some(name) = own {
            return name.to_owned();
        }
        let what = match kind {
            ExportKind::Memory => "memory",
            ExportKind::Table => "table",
            ExportKind::Global => "global",
            ExportKind::Func => "func",
            ExportKind::Tag => "tag",
        };
        let name = format!("{RESERVED}{what}:{index}");
        self.export(&name, kind, index);
        name
    }
}

/// The module of these sections with the additions. `code` stands in for the items of the code section, if given.
pub(super) fn assemble(
    sections: &[Section<'_>],
    mut additions: Additions,
    code: Option<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let mut module = Module::new();
    // A section that is created follows the one that it belongs behind at once, before any custom sections.
    let mut custom = Vec::new();
    for section in sections {
        let Some(place) = place(section.id) else {
            custom.push(section);
            continue;
        };
        let behind = additions.0.split_off(&place);
        for (place, items) in std::mem::replace(&mut additions.0, behind) {
            create(&mut module, place, &items)?;
        }
        for section in custom.drain(..) {
            write(&mut module, section.id, section.contents)?;
        }
        match additions.0.remove(&place) {
            None => write(&mut module, section.id, section.contents)?,
            Some(added) => {
                let mut reader = BinaryReader::new(section.contents, 0);
                let count = reader.read_var_u32().map_err(malformed)?;
                let mut items = Cow::Borrowed(section.contents.get(reader.original_position()..).unwrap_or_default());
                if section.id == u8::from(SectionId::Code)
                    && let Some(code) = &code
                {
                    items = Cow::Borrowed(code);
                }
                let count = count.checked_add(added.count).ok_or_else(|| too_large("there are too many items"))?;
                write(&mut module, section.id, &contents(count, &[&items, &added.bytes]))?;
            }
        }
    }
    for (place, items) in additions.0 {
        create(&mut module, place, &items)?;
    }
    for section in custom {
        write(&mut module, section.id, section.contents)?;
    }
    Ok(module.finish())
}

fn place(id: u8) -> Option<usize> {
    ORDER.iter().position(|section| u8::from(*section) == id)
}

fn create(module: &mut Module, place: usize, items: &Items) -> Result<(), Error> {
    let id = ORDER.get(place).ok_or_else(|| too_large("there are too many sections"))?;
    write(module, u8::from(*id), &contents(items.count, &[&items.bytes]))
}

fn contents(count: u32, items: &[&[u8]]) -> Vec<u8> {
    let mut contents = Vec::with_capacity(5 + items.iter().map(|items| items.len()).sum::<usize>());
    count.encode(&mut contents);
    for items in items {
        contents.extend_from_slice(items);
    }
    contents
}

fn write(module: &mut Module, id: u8, data: &[u8]) -> Result<(), Error> {
    u32::try_from(data.len()).map_err(|_| too_large("a section has more bytes than there can be"))?;
    module.section(&RawSection { id, data });
    Ok(())
}
