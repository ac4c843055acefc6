//! Gas meters as instructions of the module itself.
//!
//! A module that has been metered (`wasm-metering`) imports `metering.usegas` and calls it with a constant in front of every
//! basic block: its host adds the amount to what has been used, and ends the call once that is more than the limit. As calls of
//! the host these are most of what the module does. So what is left becomes a global of the module:
//!
//! ```text
//! (func $f (param …) (result R)                 (func $f (param …) (result R) (local $left i64)
//!                                                 block $out
//!                                                   block $body (result R)
//!   i32.const 17                                      global.get $gas
//!   call $usegas                                      i64.const 17
//!                                                     i64.sub
//!                                                     local.tee $left
//!                                                     global.set $gas
//!                                                     local.get $left
//!                                                     i64.const 0
//!                                                     i64.lt_s
//!                                                     br_if $out
//!   …                                                 …
//!                                                   end
//!                                                   return
//!                                                 end
//!                                                 i32.const 0
//!                                                 call $usegas
//!                                                 unreachable)
//! ```
//!
//! The branch is taken where what has been used exceeds the limit, as then less than nothing is left; the amount that does so
//! has been taken. The import is called only to end the call: its host must not return. `$body` has the label that the
//! function had, so that no branch changes.
//!
//! Where an amount is no constant, or not a small one, in functions with very many blocks, and where the import is named otherwise (by references, elements,
//! exports), a function of the module takes its place that does the same. Amounts may be negative. They are bounded by 2^61 and
//! what is left by 2^62, so that nothing overflows.
//!
//! No index changes meaning: the function and the global come last.

mod function;
mod sites;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::edits::Edits;
use crate::module::Module;
use serde_derive::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, ConstExpr, FuncType, GlobalType, ValType};
use wasmparser::FuncType as ParsedType;

/// The module that a meter is imported from.
pub const MODULE: &str = "metering";
/// The function by which a module says what it is about to use.
pub const NAME: &str = "usegas";

/// What a module has left at the start, and the limit that it has where nobody says another: that of AO's loader.
pub const GAS: i64 = 9_000_000_000_000_000;

/// A module that meters itself.
#[derive(Debug)]
pub struct Metered<'a> {
    /// The module.
    pub module: Cow<'a, [u8]>,
    /// Its meter, if it has one.
    pub meter: Option<Meter>,
}

/// The meter of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// The index of the global that holds the gas that is left: a mutable i64, [`GAS`] at first.
    pub global: u32,
    /// The imported functions that are called where it is less than nothing, by index.
    pub imports: Vec<u32>,
}

/// Makes the meter of a module part of it.
///
/// The module must be valid, without legacy exception handling. A module that imports no meter, or one of another type, is
/// returned as it is.
///
/// # Errors
/// [`Error::TooLarge`] where the result would exceed a limit of validation, and [`Error::Malformed`].
pub fn meter(wasm: &[u8]) -> Result<Metered<'_>, Error> {
    run(&Module::parse(wasm)?)
}

pub(crate) fn run<'a>(module: &Module<'a>) -> Result<Metered<'a>, Error> {
    let imports: Vec<u32> = imports(module).map(|(index, _)| index).collect();
    if imports.is_empty() {
        return Ok(Metered { module: Cow::Borrowed(module.wasm), meter: None });
    }
    let global = module.globals.len() as u32;
    let mut edits = Edits::default();
    let ty = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
    edits.globals.push((ty, ConstExpr::i64_const(GAS)));
    for (import, amount) in self::imports(module) {
        let Some(ty) = module.functions.get(import as usize) else { continue };
        edits.moved.insert(import, (module.functions.len() + edits.functions.len()) as u32);
        edits.functions.push((*ty, function::using(amount, global, import)));
    }
    let mut blocks = Blocks::of(module);
    for (position, body) in module.bodies.iter().enumerate() {
        let Some(ty) = module.type_of_body(position) else { continue };
        let block = blocks.with(ty, &mut edits)?;
        if let Some(metered) = sites::metered(module, body, ty.params().len(), block, global, &edits.moved)? {
            edits.replace_body(position, metered)?;
        }
    }
    Ok(Metered { module: edits.apply(module)?, meter: Some(Meter { global, imports }) })
}

/// The type of the amounts of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    I32,
    I64,
}

/// The imports of a meter, by function index.
fn imports<'m>(module: &'m Module<'_>) -> impl Iterator<Item = (u32, Amount)> + use<'m> {
    (0..).zip(module.imports.iter().zip(&module.functions)).filter_map(|(index, (import, ty))| {
        let is_meter = import.module == MODULE && import.name == NAME;
        let ty = module.func_type(*ty).filter(|ty| is_meter && ty.results().is_empty())?;
        match ty.params() {
            [wasmparser::ValType::I32] => Some((index, Amount::I32)),
            [wasmparser::ValType::I64] => Some((index, Amount::I64)),
            _ => None,
        }
    })
}

/// Whether a function index is that of a meter.
pub(crate) fn is_meter(module: &Module<'_>, function: u32) -> bool {
    (function as usize) < module.imports.len() && imports(module).any(|(index, _)| index == function)
}

/// The types of blocks that have the results of a function.
struct Blocks {
    /// Types without parameters by their results, those that are added included.
    known: HashMap<Box<[wasmparser::ValType]>, u32>,
    /// The index of the next type.
    next: u32,
}

impl Blocks {
    fn of(module: &Module<'_>) -> Blocks {
        let mut known = HashMap::new();
        for (index, ty) in module.unshared_func_types().filter(|(_, ty)| ty.params().is_empty()) {
            known.entry(ty.results().into()).or_insert(index);
        }
        Blocks { known, next: module.types.len() as u32 }
    }

    /// The type of a block with the results of a function of type `ty`.
    fn with(&mut self, ty: &ParsedType, edits: &mut Edits) -> Result<BlockType, Error> {
        let encoded =
            |ty: &wasmparser::ValType| RoundtripReencoder.val_type(*ty).map_err(|error| Error::from_reencode(error, 0));
        Ok(match ty.results() {
            [] => BlockType::Empty,
            [one] => BlockType::Result(encoded(one)?),
            many => BlockType::FunctionType(match self.known.get(many) {
                Some(known) => *known,
                None => {
                    let results = many.iter().map(encoded).collect::<Result<Vec<_>, _>>()?;
                    edits.types.push(FuncType::new([], results));
                    self.known.insert(many.into(), self.next);
                    self.next += 1;
                    self.next - 1
                }
            }),
        })
    }
}
