//! The names of AO's first module format, `wasm32-unknown-emscripten`, restored.
//!
//! Emscripten shortens the names of imports and exports in release builds, and tells only its JavaScript what they were. AO's
//! loader has one such piece of JavaScript for all images of this format, so its names are known. An image is of the format
//! if it imports and exports just these names with these types. Imports of other modules, as that of a gas meter, do not
//! count. Any other image stays as it is: its short names say nothing.

use crate::Error;
use crate::module::Module;
use std::borrow::Cow;
use std::collections::HashMap;
use wasm_encoder::{EntityType, ExportKind, ExportSection, ImportSection, RawSection};
use wasmparser::{ExternalKind, FuncType, Parser, Payload, ValType};

/// The module that imports are from.
const SHORT: &str = "a";

const ENV: &str = "env";
const WASI: &str = "wasi_snapshot_preview1";

/// What a name stands for.
struct Name {
    short: &'static str,
    /// The type of a function, a letter for each parameter, a colon, and one for the result: `i` is an `i32`, `d` an `f64`.
    ty: &'static str,
    module: &'static str,
    name: &'static str,
}

const fn name(short: &'static str, ty: &'static str, module: &'static str, name: &'static str) -> Name {
    Name { short, ty, module, name }
}

/// Imports, in the order of the short names.
const IMPORTS: [Name; 30] = [
    name("a", ":d", ENV, "_emscripten_date_now"),
    name("b", "i:", ENV, "setTempRet0"),
    name("c", "i:i", WASI, "fd_close"),
    name("d", "iii:i", ENV, "__syscall_fcntl64"),
    name("e", "iii:i", ENV, "__syscall_unlinkat"),
    name("f", "iiii:i", WASI, "fd_write"),
    name("g", "iiii:i", ENV, "__syscall_openat"),
    name("h", ":i", ENV, "getTempRet0"),
    name("i", "i:i", ENV, "_mktime_js"),
    name("j", "iii:", ENV, "_tzset_js"),
    name("k", "iii:", ENV, "emscripten_memcpy_big"),
    name("l", "i:", ENV, "exit"),
    name("m", "i:i", ENV, "system"),
    name("n", "iiii:i", ENV, "strftime"),
    name("o", "iiiii:i", WASI, "fd_seek"),
    name("p", ":", ENV, "_emscripten_throw_longjmp"),
    name("q", "i:i", ENV, "emscripten_resize_heap"),
    name("r", "ii:i", ENV, "__syscall_lstat64"),
    name("s", "iiii:i", ENV, "__syscall_renameat"),
    name("t", "i:i", ENV, "__syscall_rmdir"),
    name("u", "ii:i", WASI, "environ_get"),
    name("v", "ii:i", WASI, "environ_sizes_get"),
    name("w", "iii:i", ENV, "__syscall_dup3"),
    name("x", "iii:", ENV, "invoke_vii"),
    name("y", "iiii:i", WASI, "fd_read"),
    name("z", "iii:i", ENV, "__syscall_ioctl"),
    name("A", ":i", ENV, "_emscripten_get_now_is_monotonic"),
    name("B", "ii:", ENV, "_gmtime_js"),
    name("C", "ii:", ENV, "_localtime_js"),
    name("D", ":", ENV, "abort"),
];

/// Exported functions.
const FUNCTIONS: [Name; 9] = [
    name("F", ":", "", "__wasm_call_ctors"),
    name("G", "ii:i", "", "handle"),
    name("H", "ii:i", "", "main"),
    name("J", "i:i", "", "malloc"),
    name("K", ":i", "", "__errno_location"),
    name("L", "ii:", "", "setThrew"),
    name("M", ":i", "", "stackSave"),
    name("N", "i:", "", "stackRestore"),
    name("O", "i:i", "", "stackAlloc"),
];

/// The other exports.
const MEMORY: (&str, &str) = ("E", "memory");
const TABLE: (&str, &str) = ("I", "__indirect_function_table");

/// Restores the names of a valid module of the format. Any other is returned as it is.
///
/// # Errors
/// [`Error::Malformed`].
pub fn restore(wasm: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    run(&Module::parse(wasm)?)
}

pub(crate) fn run<'a>(module: &Module<'a>) -> Result<Cow<'a, [u8]>, Error> {
    let Some(imports) = imports(module) else { return Ok(Cow::Borrowed(module.wasm)) };
    let Some(exports) = exports(module) else { return Ok(Cow::Borrowed(module.wasm)) };
    let mut output = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(module.wasm) {
        let payload = payload?;
        match &payload {
            Payload::ImportSection(_) => _ = output.section(&imports),
            Payload::ExportSection(_) => _ = output.section(&exports),
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    let data = module.wasm.get(range.clone());
                    let data = data.ok_or_else(|| Error::malformed("a section exceeds the module", range.start))?;
                    output.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(Cow::Owned(output.finish()))
}

/// The imports with their names, if they are those of the format.
fn imports(module: &Module<'_>) -> Option<ImportSection> {
    let names: HashMap<&str, &Name> = IMPORTS.iter().map(|name| (name.short, name)).collect();
    let mut section = ImportSection::new();
    let mut restored = 0;
    for (import, ty) in module.imports.iter().zip(&module.functions) {
        let (from, name) = if import.module == SHORT {
            let name = names.get(import.name).filter(|name| is_of_type(module.func_type(*ty), name.ty))?;
            restored += 1;
            (name.module, name.name)
        } else {
            (import.module, import.name)
        };
        section.import(from, name, EntityType::Function(*ty));
    }
    // Of others than functions the format has none.
    (restored == IMPORTS.len() && section.len() as usize == module.imported_items).then_some(section)
}

/// The exports with their names, if they are those of the format.
fn exports(module: &Module<'_>) -> Option<ExportSection> {
    let mut section = ExportSection::new();
    for export in &module.exports {
        let (name, kind) = match export.kind {
            ExternalKind::Memory if export.name == MEMORY.0 => (MEMORY.1, ExportKind::Memory),
            ExternalKind::Table if export.name == TABLE.0 => (TABLE.1, ExportKind::Table),
            ExternalKind::Func => {
                let ty = module.functions.get(export.index as usize).and_then(|ty| module.func_type(*ty));
                let mut names = FUNCTIONS.iter();
                let name = names.find(|name| name.short == export.name && is_of_type(ty, name.ty))?;
                (name.name, ExportKind::Func)
            }
            _ => return None,
        };
        section.export(name, kind, export.index);
    }
    // No name can be there twice.
    (section.len() as usize == FUNCTIONS.len() + 2).then_some(section)
}

fn is_of_type(ty: Option<&FuncType>, letters: &str) -> bool {
    let letter = |ty: &ValType| match ty {
        ValType::I32 => 'i',
        ValType::F64 => 'd',
        _ => '?',
    };
    ty.is_some_and(|ty| {
        let params = ty.params().iter().map(letter);
        params.chain(std::iter::once(':')).chain(ty.results().iter().map(letter)).eq(letters.chars())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of the format, with fields in the place of others, and further ones.
    fn image(replace: &[(&str, &str)], further: &str) -> Vec<u8> {
        let types = |ty: &str| {
            let (params, results) = ty.split_once(':').unwrap();
            let list = |letters: &str| letters.replace('i', " i32").replace('d', " f64");
            format!("(param{}) (result{})", list(params), list(results))
        };
        let imports = IMPORTS.iter().map(|name| format!(r#"(import "a" "{}" (func {}))"#, name.short, types(name.ty)));
        let exports =
            FUNCTIONS.iter().map(|name| format!(r#"(func (export "{}") {} unreachable)"#, name.short, types(name.ty)));
        let mut text: String = imports.chain(exports).collect();
        text += r#"(memory (export "E") 1) (table (export "I") 1 funcref)"#;
        for (from, to) in replace {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        wat::parse_str(format!("(module {further} {text})")).unwrap()
    }

    fn names(wasm: &[u8]) -> (Vec<String>, Vec<String>) {
        let module = Module::parse(wasm).unwrap();
        let imports = module.imports.iter().map(|import| format!("{}.{}", import.module, import.name));
        (imports.collect(), module.exports.iter().map(|export| export.name.to_owned()).collect())
    }

    #[test]
    fn the_names_of_the_format_are_restored() {
        let meter = r#"(import "metering" "usegas" (func (param i32)))"#;
        let wasm = image(&[], meter);
        let restored = restore(&wasm).unwrap();
        crate::testing::validate(&restored);
        let (imports, exports) = names(&restored);
        assert_eq!((imports.len(), imports[0].as_str()), (31, "metering.usegas"));
        assert_eq!((imports[1].as_str(), imports[30].as_str()), ("env._emscripten_date_now", "env.abort"));
        assert!(imports.contains(&"wasi_snapshot_preview1.fd_write".into()));
        assert_eq!(exports[1], "handle");
        assert_eq!((exports[9].as_str(), exports[10].as_str()), ("memory", "__indirect_function_table"));
        // What has its names has nothing to restore.
        assert!(matches!(restore(&restored).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn other_images_stay_as_they_are() {
        for (replace, further) in [
            // Another name, another type, one missing, one more; of imports and of exports.
            (vec![(r#""a" "D""#, r#""a" "E""#)], ""),
            (vec![(r#""a" "D" (func (param)"#, r#""a" "D" (func (param i32)"#)], ""),
            (vec![(r#"(import "a" "D" (func (param) (result)))"#, "")], ""),
            (vec![], r#"(import "a" "E" (func))"#),
            (vec![], r#"(import "a" "a" (func (result f64)))"#),
            (vec![], r#"(import "b" "E" (memory 1))"#),
            (vec![(r#"(export "G")"#, r#"(export "P")"#)], ""),
            (vec![(r#"(export "G") (param i32 i32)"#, r#"(export "G") (param i32)"#)], ""),
            (vec![(r#"(export "E")"#, "")], ""),
            (vec![(r#"(export "I")"#, r#"(export "I") (export "P")"#)], ""),
        ] {
            let wasm = image(&replace, further);
            assert!(matches!(restore(&wasm).unwrap(), Cow::Borrowed(_)), "{replace:?} {further}");
        }
        assert!(matches!(restore(&wat::parse_str("(module)").unwrap()).unwrap(), Cow::Borrowed(_)));
    }
}
