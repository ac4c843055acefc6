//! The calls of a meter within a function.

use crate::Error;
use crate::body::{Locals, Splice};
use crate::edits::MAX_BODY;
use crate::module::Module;
use std::collections::HashMap;
use std::ops::Range;
use wasm_encoder::{BlockType, ValType};
use wasmparser::{FunctionBody, Operator};

/// The largest amount that is taken inline. Less than nothing is left only where a call is about to end, so that as many
/// calls can end within another one as are ever needed until something overflows.
const MOST_INLINE: i64 = 1 << 32;

/// The most constants and calls of a function that are taken inline: a branch for each lets compiling grow with their square.
/// AOS's largest function has 496.
pub(super) const MOST_SITES: usize = 2_048;

/// Where a function names a meter.
enum Site {
    /// A small constant and a call, with the number of blocks around them and the import.
    Inline { at: Range<usize>, amount: i64, depth: u32, import: u32 },
    /// An instruction that names the import in another way.
    Other { at: Range<usize>, named: Named, import: u32 },
}

#[derive(Clone, Copy)]
enum Named {
    Call,
    ReturnCall,
    RefFunc,
}

/// The body of a function with its meter inline, or nothing where it names none. `block` is the type of a block with its
/// results, `moved` has the functions that take the places of imports.
pub(super) fn metered(
    module: &Module<'_>,
    body: &FunctionBody<'_>,
    params: usize,
    block: BlockType,
    global: u32,
    moved: &HashMap<u32, u32>,
) -> Result<Option<Vec<u8>>, Error> {
    let sites = find(body, moved)?;
    if sites.is_empty() {
        return Ok(None);
    }
    if sites.len() > MOST_SITES {
        return with_calls(module, body, &sites, moved).map(Some);
    }
    match inline(module, body, params, block, global, &sites, moved) {
        Ok(metered) if metered.len() <= MAX_BODY => Ok(Some(metered)),
        // With calls it is hardly larger than it was.
        Ok(_) | Err(Error::TooLarge(_)) => with_calls(module, body, &sites, moved).map(Some),
        Err(error) => Err(error),
    }
}

fn find(body: &FunctionBody<'_>, moved: &HashMap<u32, u32>) -> Result<Vec<Site>, Error> {
    let (mut sites, mut depth) = (Vec::new(), 0u32);
    let mut operators = body.get_operators_reader()?;
    // A constant that comes right before, and where it starts.
    let mut constant: Option<(i64, usize)> = None;
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read()?;
        let before = constant.take();
        let named = match operator {
            Operator::I32Const { value } => {
                constant = Some((value.into(), start));
                continue;
            }
            Operator::I64Const { value } => {
                constant = Some((value, start));
                continue;
            }
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                depth = depth.saturating_add(1);
                continue;
            }
            Operator::End => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Operator::Call { function_index } => (Named::Call, function_index),
            Operator::ReturnCall { function_index } => (Named::ReturnCall, function_index),
            Operator::RefFunc { function_index } => (Named::RefFunc, function_index),
            _ => continue,
        };
        let (named, import) = named;
        if !moved.contains_key(&import) {
            continue;
        }
        let end = operators.original_position();
        sites.push(match (named, before) {
            (Named::Call, Some((amount, start))) if (0..=MOST_INLINE).contains(&amount) => {
                Site::Inline { at: start..end, amount, depth, import }
            }
            _ => Site::Other { at: start..end, named, import },
        });
    }
    Ok(sites)
}

fn inline(
    module: &Module<'_>,
    body: &FunctionBody<'_>,
    params: usize,
    block: BlockType,
    global: u32,
    sites: &[Site],
    moved: &HashMap<u32, u32>,
) -> Result<Vec<u8>, Error> {
    let used = sites.iter().find_map(|site| match site {
        Site::Inline { import, .. } => Some(*import),
        Site::Other { .. } => None,
    });
    let Some(import) = used else { return with_calls(module, body, sites, moved) };
    let locals = Locals::of(body, params)?;
    let left = locals.count;
    let mut output = Splice::new(module.wasm, locals.code_start(), locals.with(module.wasm, &[(1, ValType::I64)])?);
    output.sink().block(BlockType::Empty).block(block);
    for site in sites {
        match site {
            Site::Inline { at, amount, depth, .. } => {
                output.replace(at)?;
                let mut code = output.sink();
                code.global_get(global).i64_const(*amount).i64_sub().local_tee(left).global_set(global);
                code.local_get(left).i64_const(0).i64_lt_s().br_if(depth.saturating_add(1));
            }
            Site::Other { at, named, import } => rename(&mut output, at, *named, *import, moved)?,
        }
    }
    // The end of the function is now that of the inner block.
    output.copy_to(body.range().end)?;
    let mut code = output.sink();
    code.return_().end();
    let is_wide = module.functions.get(import as usize).and_then(|ty| module.func_type(*ty));
    match is_wide.map(|ty| ty.params()) {
        Some([wasmparser::ValType::I64]) => code.i64_const(0),
        _ => code.i32_const(0),
    };
    code.call(import).unreachable().end();
    output.finish(body.range().end)
}

/// The body with calls of functions in the place of calls of imports.
fn with_calls(
    module: &Module<'_>,
    body: &FunctionBody<'_>,
    sites: &[Site],
    moved: &HashMap<u32, u32>,
) -> Result<Vec<u8>, Error> {
    let mut output = Splice::new(module.wasm, body.range().start, Vec::new());
    for site in sites {
        match site {
            // The constant stays.
            Site::Inline { at, import, .. } => {
                let call = call_of(module.wasm, at)?;
                rename(&mut output, &call, Named::Call, *import, moved)?;
            }
            Site::Other { at, named, import } => rename(&mut output, at, *named, *import, moved)?,
        }
    }
    output.finish(body.range().end)
}

/// The call of a constant and a call.
fn call_of(wasm: &[u8], at: &Range<usize>) -> Result<Range<usize>, Error> {
    let malformed = || Error::malformed("the code exceeds the module", at.start);
    let code = wasm.get(at.clone()).ok_or_else(malformed)?;
    // The number behind the first byte ends with the first byte whose upper bit is not set.
    let rest = code.get(1..).ok_or_else(malformed)?;
    let number = rest.iter().position(|byte| byte & 0x80 == 0).ok_or_else(malformed)?;
    Ok(at.start + number + 2..at.end)
}

fn rename(
    output: &mut Splice<'_>,
    at: &Range<usize>,
    named: Named,
    import: u32,
    moved: &HashMap<u32, u32>,
) -> Result<(), Error> {
    output.replace(at)?;
    let function = moved.get(&import).copied().unwrap_or(import);
    match named {
        Named::Call => output.sink().call(function),
        Named::ReturnCall => output.sink().return_call(function),
        Named::RefFunc => output.sink().ref_func(function),
    };
    Ok(())
}
