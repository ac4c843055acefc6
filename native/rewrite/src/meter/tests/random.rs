//! Random modules with a meter.

use super::{Guest, USE, USE64, assemble};
use proptest::prelude::*;
use std::fmt::Write;

#[derive(Clone, Debug)]
enum Step {
    /// An amount, as a constant.
    Use(i32),
    /// A parameter's value as the amount.
    UseParam,
    /// An amount through the table.
    UseIndirect(i32),
    /// Tells the host where the guest is.
    Note(i32),
    Block(Vec<Step>),
    /// So many rounds.
    Loop(u8, Vec<Step>),
    If(Vec<Step>, Vec<Step>),
    TryTable(Vec<Step>),
    /// Leaves so many blocks, as far as there are, or returns.
    Br(u8),
    BrIf(u8),
    Return,
    Throw,
    Trap,
    /// Calls one of the functions before this one.
    Call(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = prop_oneof![8 => 0..200i32, 1 => -50..0i32, 1 => Just(i32::MAX)];
    let leaf = prop_oneof![
        8 => amount.prop_map(Step::Use),
        1 => Just(Step::UseParam),
        1 => (0..50i32).prop_map(Step::UseIndirect),
        3 => (0..1000i32).prop_map(Step::Note),
        1 => (0..4u8).prop_map(Step::Br),
        2 => (0..4u8).prop_map(Step::BrIf),
        1 => Just(Step::Return),
        1 => Just(Step::Throw),
        1 => Just(Step::Trap),
        2 => any::<u8>().prop_map(Step::Call),
    ];
    let step = leaf.prop_recursive(4, 40, 6, |inner| {
        let inner = || prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            inner().prop_map(Step::Block),
            (1..4u8, inner()).prop_map(|(rounds, steps)| Step::Loop(rounds, steps)),
            (inner(), inner()).prop_map(|(then, otherwise)| Step::If(then, otherwise)),
            inner().prop_map(Step::TryTable),
        ]
    });
    prop::collection::vec(step, 0..8)
}

/// A function: how many results it has, and what it does.
type Function = (u8, Vec<Step>);

struct Writer {
    wat: String,
    wide: bool,
    results: u8,
    /// The function's number.
    function: usize,
    /// Locals that count rounds; local 0 is the parameter.
    loops: usize,
}

const TYPES: [&str; 3] = ["i32", "i64", "i32"];

impl Writer {
    fn add(&mut self, text: &str) {
        self.wat.push_str(text);
        self.wat.push('\n');
    }

    fn values(&mut self) {
        for (index, ty) in TYPES.iter().take(self.results.into()).enumerate() {
            writeln!(self.wat, "{ty}.const {}", 11 * (index + 1)).unwrap();
        }
    }

    fn amount(&mut self, amount: i32) {
        let ty = if self.wide { "i64" } else { "i32" };
        writeln!(self.wat, "{ty}.const {amount}").unwrap();
    }

    fn steps(&mut self, steps: &[Step], depth: usize) {
        for step in steps {
            self.step(step, depth);
        }
    }

    fn step(&mut self, step: &Step, depth: usize) {
        match step {
            Step::Use(amount) => {
                self.amount(*amount);
                self.add("call $use");
            }
            Step::UseParam => {
                self.add(if self.wide { "local.get 0 i64.extend_i32_s call $use" } else { "local.get 0 call $use" })
            }
            Step::UseIndirect(amount) => {
                self.amount(*amount);
                self.add("i32.const 0 call_indirect (type $use)");
            }
            Step::Note(note) => writeln!(self.wat, "i32.const {note} call $note").unwrap(),
            Step::Block(steps) => {
                self.add("block");
                self.steps(steps, depth + 1);
                self.add("end");
            }
            Step::Loop(rounds, steps) => {
                self.loops += 1;
                let local = self.loops;
                writeln!(self.wat, "i32.const {rounds} local.set {local} block loop").unwrap();
                writeln!(self.wat, "local.get {local} i32.eqz br_if 1").unwrap();
                writeln!(self.wat, "local.get {local} i32.const 1 i32.sub local.set {local}").unwrap();
                self.steps(steps, depth + 2);
                self.add("br 0 end end");
            }
            Step::If(then, otherwise) => {
                self.add("local.get 0 i32.const 1 i32.and if");
                self.steps(then, depth + 1);
                self.add("else");
                self.steps(otherwise, depth + 1);
                self.add("end");
            }
            Step::TryTable(steps) => {
                self.add("block try_table (catch_all 0)");
                self.steps(steps, depth + 2);
                self.add("end end");
            }
            Step::Br(out) if usize::from(*out) >= depth => {
                self.values();
                writeln!(self.wat, "br {depth}").unwrap();
            }
            Step::Br(out) => writeln!(self.wat, "br {out}").unwrap(),
            Step::BrIf(out) => {
                let out = usize::from(*out).min(depth.saturating_sub(1));
                if depth > 0 {
                    writeln!(self.wat, "local.get 0 i32.const 2 i32.and br_if {out}").unwrap();
                }
            }
            Step::Return => {
                self.values();
                self.add("return");
            }
            Step::Throw => self.add("throw $tag"),
            Step::Trap => self.add("i32.const 1 i32.const 0 i32.div_s drop"),
            Step::Call(number) => {
                if let Some(function) = usize::from(*number).checked_rem(self.function) {
                    writeln!(self.wat, "local.get 0 i32.const 1 i32.shr_s call $f{function} call $drop{function}")
                        .unwrap();
                }
            }
        }
    }
}

fn wat(functions: &[Function], wide: bool) -> String {
    let import = if wide { USE64 } else { USE };
    let ty = if wide { "i64" } else { "i32" };
    let mut wat = format!(
        r#"(module {import} (import "host" "note" (func $note (param i32))) (tag $tag)
        (type $use (func (param {ty}))) (table 1 funcref) (elem (i32.const 0) $use)"#
    );
    for (number, (results, steps)) in functions.iter().enumerate() {
        let results = *results % 4;
        let types = TYPES[..usize::from(results)].join(" ");
        let mut writer = Writer { wat: String::new(), wide, results, function: number, loops: 0 };
        writer.steps(steps, 0);
        writer.values();
        let locals = "i32 ".repeat(writer.loops);
        write!(
            wat,
            "(func $f{number} (export \"f{number}\") (param i32) (result {types}) (local {locals})\n{})
            (func $drop{number} (param {types}))",
            writer.wat
        )
        .unwrap();
    }
    wat.push(')');
    wat
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The same results, notes, traps and amounts, and the same end at every limit that can make a difference.
    #[test]
    fn a_meter_inside_counts_as_one_outside(
        functions in prop::collection::vec((0..4u8, steps()), 1..4),
        wide in any::<bool>(),
        arg in -4..8i32,
        some in prop::collection::vec(0..3000i64, 4),
    ) {
        let wasm = assemble(&wat(&functions, wide));
        let (mut counted, mut metered) = (Guest::counted(&wasm), Guest::metered(&wasm));
        for number in 0..functions.len() {
            let name = format!("f{number}");
            let all = 1 << 50;
            let (_, _, used) = counted.call(&name, &[arg], all);
            for limit in [all, used, used - 1, 0].into_iter().chain(some.iter().copied()).filter(|limit| *limit >= 0) {
                prop_assert_eq!(metered.call(&name, &[arg], limit), counted.call(&name, &[arg], limit), "{} of {}", name, limit);
            }
        }
    }
}
