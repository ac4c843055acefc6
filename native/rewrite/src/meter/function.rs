//! The function that takes the place of the import.

use super::Amount;
use wasm_encoder::{BlockType, Function, InstructionSink, ValType};

/// The largest amount that is taken at once, and the smallest as a negative number.
const MOST_AMOUNT: i64 = 1 << 61;
/// The same of what is left.
const MOST_LEFT: i64 = 1 << 62;

/// A function that takes an amount of what a global says is left, and calls the import where it is less than nothing.
pub(super) fn using(amount: Amount, global: u32, import: u32) -> Function {
    const AMOUNT: u32 = 0;
    const NUMBER: u32 = 1;

    let mut function = Function::new([(1, ValType::I64)]);
    let mut code = function.instructions();
    code.local_get(AMOUNT);
    if amount == Amount::I32 {
        code.i64_extend_i32_s();
    }
    code.local_set(NUMBER);
    if amount == Amount::I64 {
        bound(&mut code, NUMBER, MOST_AMOUNT);
    }
    code.global_get(global).local_get(NUMBER).i64_sub().local_set(NUMBER);
    bound(&mut code, NUMBER, MOST_LEFT);
    code.local_get(NUMBER).global_set(global);
    code.local_get(NUMBER).i64_const(0).i64_lt_s();
    code.if_(BlockType::Empty).local_get(AMOUNT).call(import).unreachable().end();
    code.end();
    function
}

/// Brings a local between `-most` and `most`.
fn bound(code: &mut InstructionSink<'_>, local: u32, most: i64) {
    code.local_get(local).i64_const(most).local_get(local).i64_const(most).i64_lt_s().select().local_set(local);
    code.local_get(local).i64_const(-most).local_get(local).i64_const(-most).i64_gt_s().select().local_set(local);
}
