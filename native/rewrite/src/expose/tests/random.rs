//! Random modules, run exposed and as they are.

use super::guest::{Guest, compiled, written};
use super::{assemble, exposed_bytes};
use crate::Segment;
use crate::expose::{DROP, FUNCTIONS};
use proptest::prelude::*;
use std::fmt::Write;
use wasmtime::Val;

/// A random module: what it has, and what its functions do.
#[derive(Clone, Debug)]
struct Random {
    imports: u8,
    /// For each: whether it has 64-bit addresses, and whether it is exported.
    memories: Vec<(bool, bool)>,
    /// For each: whether it is of functions, has 64-bit indices, is exported.
    tables: Vec<(bool, bool, bool)>,
    /// For each: its type, whether it is mutable, whether it is exported.
    globals: Vec<(u8, bool, bool)>,
    /// For each: how it is encoded, and a number to choose by.
    elements: Vec<(u8, u8)>,
    data: Vec<(u8, u8)>,
    start: bool,
    /// For each function its steps: what to do, and numbers to choose by.
    functions: Vec<Vec<(u8, u8, u8)>>,
    name: bool,
}

fn random() -> impl Strategy<Value = Random> {
    let items = (
        0u8..3,
        prop::collection::vec(any::<(bool, bool)>(), 0..3),
        prop::collection::vec(any::<(bool, bool, bool)>(), 0..3),
        prop::collection::vec((0u8..7, any::<bool>(), any::<bool>()), 0..5),
        prop::collection::vec((0u8..8, any::<u8>()), 0..5),
        prop::collection::vec((0u8..4, any::<u8>()), 0..4),
    );
    let code = (
        prop::bool::weighted(0.2),
        prop::collection::vec(prop::collection::vec((0u8..12, any::<u8>(), any::<u8>()), 0..8), 1..4),
        any::<bool>(),
    );
    (items, code).prop_map(|((imports, memories, tables, globals, elements, data), (start, functions, name))| Random {
        imports,
        memories,
        tables,
        globals,
        elements,
        data,
        start,
        functions,
        name,
    })
}

fn pick<T>(items: &[T], number: u8) -> Option<(usize, &T)> {
    let index = usize::from(number).checked_rem(items.len())?;
    Some((index, &items[index]))
}

fn wide(is_wide: bool) -> &'static str {
    if is_wide { "i64" } else { "i32" }
}

impl Random {
    /// Text of the module. Functions `f0`, `f1`… are exported, and for each passive segment with a place to go to
    /// `data0` or `elem0`, which trap where it was dropped.
    fn wat(&self) -> String {
        let mut wat = String::from(if self.name { "(module $named" } else { "(module" });
        let all = usize::from(self.imports) + self.functions.len();
        for index in 0..self.imports {
            write!(wat, r#"(import "e" "i{index}" (func))"#).unwrap();
        }
        let export = |wat: &mut String, exported: bool, kind: &str, index: usize| {
            if exported {
                write!(wat, r#"(export "{kind}{index}" ({kind} {index}))"#).unwrap();
            }
        };
        for (index, (is_wide, exported)) in self.memories.iter().enumerate() {
            write!(wat, "(memory {} 1)", wide(*is_wide)).unwrap();
            export(&mut wat, *exported, "memory", index);
        }
        for (index, (of_functions, is_wide, exported)) in self.tables.iter().enumerate() {
            write!(wat, "(table {} 8 {})", wide(*is_wide), if *of_functions { "funcref" } else { "externref" })
                .unwrap();
            export(&mut wat, *exported, "table", index);
        }
        for (index, (ty, mutable, exported)) in self.globals.iter().enumerate() {
            let (ty, value) = match ty {
                0 => ("i32", "i32.const 1".to_owned()),
                1 => ("i64", "i64.const 2".to_owned()),
                2 => ("f32", "f32.const 3".to_owned()),
                3 => ("v128", "v128.const i64x2 4 5".to_owned()),
                4 => ("externref", "ref.null extern".to_owned()),
                5 => ("funcref", "ref.null func".to_owned()),
                _ => ("funcref", format!("ref.func {}", index % all)),
            };
            let ty = if *mutable { format!("(mut {ty})") } else { ty.to_owned() };
            write!(wat, "(global {ty} ({value}))").unwrap();
            export(&mut wat, *exported, "global", index);
        }
        for (index, (encoding, number)) in self.elements.iter().enumerate() {
            let function = usize::from(*number) % all;
            let items = match encoding % 2 {
                0 => format!("func {function} {function}"),
                _ => format!("funcref (ref.func {function}) (ref.null func)"),
            };
            let target = pick(&self.tables, *number).filter(|(_, table)| table.0);
            match (encoding / 2, target) {
                (0, _) => write!(wat, "(elem declare {items})"),
                (1, Some((table, (_, is_wide, _)))) => {
                    write!(wat, "(elem (table {table}) ({}.const {}) {items})", wide(*is_wide), number % 7)
                }
                (_, target) => {
                    if let Some((table, (_, is_wide, _))) = target {
                        let at = wide(*is_wide);
                        write!(wat, r#"(func (export "elem{index}") "#).unwrap();
                        write!(wat, "(table.init {table} {index} ({at}.const 0) (i32.const 0) (i32.const 1)))")
                            .unwrap();
                    }
                    write!(wat, "(elem {items})")
                }
            }
            .unwrap();
        }
        for (index, (encoding, number)) in self.data.iter().enumerate() {
            match (encoding, pick(&self.memories, *number)) {
                (0, Some((memory, (is_wide, _)))) => {
                    write!(wat, r#"(data (memory {memory}) ({}.const {number}) "abc")"#, wide(*is_wide))
                }
                (_, target) => {
                    if let Some((memory, (is_wide, _))) = target {
                        let at = wide(*is_wide);
                        write!(wat, r#"(func (export "data{index}") "#).unwrap();
                        write!(wat, "(memory.init {memory} {index} ({at}.const 0) (i32.const 0) (i32.const 1)))")
                            .unwrap();
                    }
                    wat.push_str(r#"(data "passive")"#);
                    Ok(())
                }
            }
            .unwrap();
        }
        // Probes come behind these in the text, but first in the order of functions: call by name.
        for (index, steps) in self.functions.iter().enumerate() {
            write!(wat, r#"(func $f{index} (export "f{index}") (result i32) (local i32)"#).unwrap();
            let mut open = 0;
            for step in steps {
                self.step(&mut wat, *step, &mut open);
            }
            (0..open).for_each(|_| wat.push_str(" end"));
            wat.push_str(" local.get 0)");
        }
        if self.start && self.imports > 0 {
            wat.push_str("(start 0)");
        }
        wat.push(')');
        wat
    }

    fn step(&self, wat: &mut String, (step, a, b): (u8, u8, u8), open: &mut u32) {
        match step {
            0 | 1 => {
                if let Some((segment, _)) = pick(&self.data, a) {
                    write!(wat, " data.drop {segment}").unwrap();
                }
            }
            2 | 3 => {
                if let Some((segment, _)) = pick(&self.elements, a) {
                    write!(wat, " elem.drop {segment}").unwrap();
                }
            }
            4 => {
                wat.push_str([" block", " loop", " local.get 0 if"][usize::from(a % 3)]);
                *open += 1;
            }
            5 if *open > 0 => {
                wat.push_str(" end");
                *open -= 1;
            }
            6 => {
                if let (Some((to, (is_wide, _))), Some((from, _))) = (pick(&self.memories, a), pick(&self.data, b)) {
                    let at = wide(*is_wide);
                    write!(wat, " {at}.const 9 i32.const 0 i32.const {} memory.init {to} {from}", b % 3).unwrap();
                }
            }
            7 => {
                if let (Some((to, (true, is_wide, _))), Some((from, _))) =
                    (pick(&self.tables, a), pick(&self.elements, b))
                {
                    let at = wide(*is_wide);
                    write!(wat, " {at}.const 3 i32.const 0 i32.const {} table.init {to} {from}", b % 3).unwrap();
                }
            }
            8 => {
                if let Some((table, (true, is_wide, _))) = pick(&self.tables, a) {
                    // Every function here is exported.
                    let function = usize::from(b) % self.functions.len();
                    write!(wat, " {}.const {} ref.func $f{function} table.set {table}", wide(*is_wide), b % 9).unwrap();
                }
            }
            9 => {
                let own = self.globals.iter().enumerate().filter(|(_, global)| global.1).collect::<Vec<_>>();
                match pick(&own, a) {
                    Some((_, (index, (0, ..)))) => write!(wat, " i32.const {b} global.set {index}").unwrap(),
                    Some((_, (index, (5 | 6, ..)))) => {
                        let function = usize::from(b) % self.functions.len();
                        write!(wat, " ref.func $f{function} global.set {index}").unwrap();
                    }
                    _ => {}
                }
            }
            10 if self.imports > 0 => wat.push_str(" call 0"),
            // Opcode and index of drops, as constants.
            _ => wat.push_str(" i32.const 1276 i32.const 1788 i32.add local.set 0"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_random_module_behaves_the_same_and_shows_its_state(random in random()) {
        let wat = random.wat();
        let original = assemble(&wat);
        let (wasm, layout) = exposed_bytes(&original);
        prop_assert_eq!(layout.memories.len(), random.memories.len());
        prop_assert_eq!(layout.tables.len(), random.tables.len());
        prop_assert_eq!(layout.globals.len(), random.globals.iter().filter(|global| global.1).count());
        let module = compiled(&wasm);
        let (plain, guest) = (Guest::new(&compiled(&original)), Guest::new(&module));
        let (mut plain, mut guest) = match (plain, guest) {
            (Ok(plain), Ok(guest)) => (plain, guest),
            (plain, guest) => {
                prop_assert_eq!(plain.err(), guest.err());
                return Ok(());
            }
        };
        prop_assert!(layout.has_start || written(&mut guest, &layout));
        let has_start = random.start && random.imports > 0;
        prop_assert_eq!(layout.has_start, has_start);
        prop_assert!(layout.memories.iter().all(|memory| memory.data.is_some()));
        for _ in 0..2 {
            for index in 0..random.functions.len() {
                let name = format!("f{index}");
                prop_assert_eq!(plain.call(&name, &[]), guest.call(&name, &[]));
            }
        }
        // All references that are kept have a number.
        let functions = if layout.functions.is_empty() { Vec::new() } else { guest.functions(FUNCTIONS) };
        prop_assert_eq!(functions.len(), layout.functions.len());
        for (at, (of_functions, ..)) in layout.tables.iter().zip(&random.tables) {
            if *of_functions {
                for entry in guest.functions(&at.name).into_iter().flatten() {
                    prop_assert!(functions.contains(&Some(entry)));
                }
            }
        }
        for at in &layout.globals {
            if let Val::FuncRef(Some(func)) = guest.global(&at.name) {
                let address = guest.address_of(&func);
                prop_assert!(functions.contains(&Some(address)));
            }
        }
        // What is exported has the same contents.
        for (index, (_, exported)) in random.memories.iter().enumerate() {
            if *exported {
                let name = format!("memory{index}");
                prop_assert!(plain.memory(&name) == guest.memory(&name));
            }
        }
        // A passive segment is gone exactly if its flag is up. A segment without a flag is never gone.
        let flags = guest.flags(&layout);
        for (prefix, count) in [("data", random.data.len()), ("elem", random.elements.len())] {
            for index in 0..count {
                let name = format!("{prefix}{index}");
                if guest.instance.get_func(&mut guest.store, &name).is_none() {
                    continue;
                }
                let segment =
                    if prefix == "data" { Segment::Data(index as u32) } else { Segment::Element(index as u32) };
                let position = layout.segments.iter().position(|at| at.segment == segment);
                let dropped = position.is_some_and(|position| flags[position] == 1);
                let gone = guest.call(&name, &[]).is_err();
                prop_assert_eq!(gone, dropped, "{}", &name);
                prop_assert_eq!(plain.call(&name, &[]).is_err(), dropped, "{}", &name);
                let mut fresh = Guest::new(&module).unwrap();
                if let Some(position) = position {
                    fresh.call(DROP, &[position as i32]).unwrap();
                }
                prop_assert_eq!(fresh.call(&name, &[]).is_err(), position.is_some());
            }
        }
    }
}
