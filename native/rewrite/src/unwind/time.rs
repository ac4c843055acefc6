//! How wide a time is, where the code shows it.

use super::ENV;
use crate::module::Module;
use wasmparser::{Operator, ValType};

/// Functions of Emscripten's that give a time in 32 bits in any version up to 3.1.42, whatever a `time_t` has.
const GIVE_TIMES: [&str; 2] = ["_mktime_js", "_timegm_js"];

/// A function that gives the time of the clock, from 3.1.8 to 3.1.20; it is called by `time` and the like only.
const GIVES_NOW: &str = "_emscripten_date_now";

/// Whether the code extends a time that it gets in 32 bits to 64, or returns it as 64.
pub(super) fn is_extended(module: &Module<'_>) -> wasmparser::Result<bool> {
    let named = |names: &[&str]| -> Vec<u32> {
        let imports = (0..).zip(&module.imports);
        imports
            .filter(|(_, import)| import.module == ENV && names.contains(&import.name))
            .map(|(index, _)| index)
            .collect()
    };
    let (give_times, give_now) = (named(&GIVE_TIMES), named(&[GIVES_NOW]));
    if give_times.is_empty() && give_now.is_empty() {
        return Ok(false);
    }
    for (position, body) in module.bodies.iter().enumerate() {
        let Some(ty) = module.type_of_body(position) else { continue };
        let returns_wide = ty.results() == [ValType::I64];
        let is_like_time = returns_wide && ty.params().len() == 1;
        let mut is_given = false;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::I64ExtendI32S if is_given => return Ok(true),
                Operator::Call { function_index } => {
                    is_given = give_times.contains(&function_index);
                    if is_given && returns_wide || is_like_time && give_now.contains(&function_index) {
                        return Ok(true);
                    }
                }
                _ => is_given = false,
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extends(code: &str) -> bool {
        let imports = r#"(import "env" "_mktime_js" (func $mktime (param i32) (result i32)))
            (import "env" "_emscripten_date_now" (func $now (result f64)))
            (import "other" "_timegm_js" (func $other (param i32) (result i32)))"#;
        let wasm = wat::parse_str(format!("(module {imports} {code})")).unwrap();
        is_extended(&Module::parse(&wasm).unwrap()).unwrap()
    }

    #[test]
    fn a_time_of_32_bits_that_becomes_one_of_64_is_noticed() {
        for (code, expected) in [
            ("(func (param i32) (result i32) (call $mktime (local.get 0)))", false),
            ("(func (param i32) (result i64) (i64.extend_i32_s (call $mktime (local.get 0))))", true),
            // Without optimization.
            (
                "(func (param i32) (result i64) (local i32)
                    (local.set 1 (call $mktime (local.get 0))) (i64.extend_i32_s (local.get 1)))",
                true,
            ),
            // In another function.
            ("(func (param i32) (i64.store (i32.const 0) (i64.extend_i32_s (call $mktime (local.get 0)))))", true),
            ("(func (param i32) (drop (call $mktime (local.get 0))) (drop (i64.extend_i32_s (i32.const 1))))", false),
            ("(func (param i32) (result i64) (i64.extend_i32_s (call $other (local.get 0))))", false),
            ("(func (param i32) (result i64) (i64.trunc_f64_s (call $now)))", true),
            ("(func (param i32) (result i32) (i32.trunc_f64_s (call $now)))", false),
        ] {
            assert_eq!(extends(code), expected, "{code}");
        }
    }
}
