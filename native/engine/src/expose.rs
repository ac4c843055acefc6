//! Makes reachable what an image does not export but its host needs: the memory that callers read and write, and the
//! table through which functions are called by number.
//!
//! Exports are added under reserved names, which no description shows. Nothing else of a module changes, and a module
//! that needs nothing comes out byte for byte.

use crate::error::Error;
use std::borrow::Cow;
use wasm_encoder::{ExportKind, ExportSection, RawSection};
use wasmparser::{BinaryReaderError, ExternalKind, Parser, Payload};

/// Begins the names that are added. An image may not use it.
pub(crate) const RESERVED: &str = "hb_wasm64:";
/// Memory 0, where no memory is exported.
pub(crate) const MEMORY: &str = "hb_wasm64:memory";
/// The only table, where it is not exported.
pub(crate) const TABLE: &str = "hb_wasm64:table";

const EXPORT_SECTION: u8 = 7;
/// The sections that come before the exports, custom ones apart: types, imports, functions, tables, memories, tags,
/// globals. The tags have the highest number of all and stand between memories and globals.
const BEFORE_EXPORTS: [u8; 7] = [1, 2, 3, 4, 5, 13, 6];

/// The module with the exports that it lacks. It must be valid.
///
/// # Errors
/// [`Error::Unsupported`] where the image uses a reserved name.
pub(crate) fn expose(wasm: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let malformed = |error: BinaryReaderError| Error::InvalidModule(error.to_string());
    let (mut memories, mut tables) = (0, 0);
    let (mut memory_is_exported, mut table_is_exported) = (false, false);
    let mut exports = ExportSection::new();
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(malformed)?;
        if let Some((id, range)) = payload.as_section() {
            sections.push((id, range));
        }
        match payload {
            Payload::MemorySection(reader) => memories += reader.count(),
            Payload::TableSection(reader) => tables += reader.count(),
            Payload::ExportSection(reader) => {
                for export in reader {
                    let export = export.map_err(malformed)?;
                    if export.name.starts_with(RESERVED) {
                        return Err(Error::Unsupported(format!("the export {:?}: its name is reserved", export.name)));
                    }
                    memory_is_exported |= export.kind == ExternalKind::Memory;
                    table_is_exported |= export.kind == ExternalKind::Table;
                    exports.export(export.name, export.kind.into(), export.index);
                }
            }
            _ => {}
        }
    }
    let (expose_memory, expose_table) = (memories > 0 && !memory_is_exported, tables == 1 && !table_is_exported);
    if expose_memory {
        exports.export(MEMORY, ExportKind::Memory, 0);
    }
    if expose_table {
        exports.export(TABLE, ExportKind::Table, 0);
    }
    if !expose_memory && !expose_table {
        return Ok(Cow::Borrowed(wasm));
    }

    let mut module = wasm_encoder::Module::new();
    let mut pending = Some(&exports);
    for (id, range) in sections {
        let is_custom = id == 0;
        if !is_custom
            && !BEFORE_EXPORTS.contains(&id)
            && let Some(exports) = pending.take()
        {
            module.section(exports);
        }
        if id != EXPORT_SECTION {
            module.section(&RawSection { id, data: wasm.get(range).unwrap_or_default() });
        }
    }
    if let Some(exports) = pending {
        module.section(exports);
    }
    Ok(Cow::Owned(module.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(wat: &str) -> Vec<String> {
        let wasm = wat::parse_str(wat).unwrap();
        let exposed = expose(&wasm).unwrap();
        wasmparser::validate(&exposed).unwrap();
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(&exposed) {
            if let Payload::ExportSection(reader) = payload.unwrap() {
                names.extend(reader.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
        }
        names
    }

    #[test]
    fn what_is_not_exported_becomes_so_wherever_the_exports_stand() {
        assert_eq!(exported("(module (memory 1))"), [MEMORY]);
        assert_eq!(
            exported(r#"(module (tag) (global i32 (i32.const 1)) (table 1 funcref) (func) (start 0))"#),
            [TABLE]
        );
        let full = r#"(module (memory 1) (table 1 funcref) (func (export "f")) (elem (i32.const 0) 0) (data (i32.const 0) "x"))"#;
        assert_eq!(exported(full), ["f", MEMORY, TABLE]);
    }

    #[test]
    fn a_module_that_lacks_nothing_is_left_alone() {
        let modules = [
            "(module)",
            r#"(module (memory 1) (memory (export "m") 1))"#,
            "(module (table 1 funcref) (table 2 funcref))",
            r#"(module (memory (export "m") 1) (table (export "t") 1 funcref))"#,
        ];
        for wat in modules {
            let wasm = wat::parse_str(wat).unwrap();
            assert!(matches!(expose(&wasm), Ok(Cow::Borrowed(_))), "{wat}");
        }
    }

    #[test]
    fn a_reserved_name_is_refused() {
        let wasm = wat::parse_str(r#"(module (func (export "hb_wasm64:memory")))"#).unwrap();
        assert!(matches!(expose(&wasm), Err(Error::Unsupported(_))));
    }
}
