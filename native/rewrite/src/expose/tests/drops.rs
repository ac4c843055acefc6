//! Modules that drop segments.

use super::guest::{Guest, compiled};
use super::{assemble, exposed, exposed_bytes, sections};
use crate::Segment;
use crate::expose::DROP;
use std::fmt::Write;
use wasmparser::{Parser, Payload};

/// Drops in blocks, in several functions, of all kinds of segments, in an encoding longer than needed, and bytes that
/// look like drops. `data` and `elem` probe: they trap where a segment was dropped.
pub(super) const DROPS: &str = r#"(module
    (memory (export "memory") 1) (table $t 4 funcref)
    (global $own (mut i32) (i32.const 5))
    (func $plain (export "plain") (result i32) (i32.add (i32.const 1276) (global.get $own)))
    (func (export "nested") (param i32) (result i32)
        (block
            (loop
                (br_if 1 (i32.eqz (local.get 0)))
                (if (i32.eq (local.get 0) (i32.const 1)) (then data.drop $d1) (else elem.drop $e1))))
        (i32.const 7))
    (func (export "again") (param i32) (data.drop $d1) (data.drop $d3) (data.drop $d1))
    (func (export "active") (data.drop $d0) (elem.drop $e0) (elem.drop $e2))
    (func (export "late") (unreachable) (elem.drop $e1))
    (func (export "data1") (memory.init $d1 (i32.const 8) (i32.const 0) (i32.const 1)))
    (func (export "data2") (memory.init $d2 (i32.const 8) (i32.const 0) (i32.const 1)))
    (func (export "data3") (memory.init $d3 (i32.const 8) (i32.const 0) (i32.const 1)))
    (func (export "elem1") (table.init $t $e1 (i32.const 0) (i32.const 0) (i32.const 1)))
    (elem $e0 (i32.const 0) func $plain) (elem $e1 func $plain) (elem $e2 declare func $plain)
    (data $d0 (i32.const 0) "zero") (data $d1 "one") (data $d2 "two") (data $d3 "three"))"#;

#[test]
fn a_flag_is_up_exactly_when_an_instruction_has_dropped_the_segment() {
    let (wasm, layout) = exposed(DROPS);
    let segments: Vec<Segment> = layout.segments.iter().map(|at| at.segment).collect();
    use Segment::{Data, Element};
    assert_eq!(segments, [Data(0), Data(1), Data(3), Element(0), Element(1), Element(2)]);
    assert_eq!(layout.segments[1].flag, "hb_wasm64:dropped:data:1");
    assert_eq!(layout.segments[4].flag, "hb_wasm64:dropped:elem:1");

    let module = compiled(&wasm);
    let start = || Guest::new(&module).unwrap();
    let mut guest = start();
    assert_eq!(guest.flags(&layout), [0; 6]);
    assert_eq!(guest.call("plain", &[]), Ok(Some(1281)));
    assert_eq!(guest.call("nested", &[0]), Ok(Some(7)));
    assert!(guest.call("late", &[]).is_err());
    assert_eq!(guest.flags(&layout), [0; 6]);
    for probe in ["data1", "data2", "data3", "elem1"] {
        assert_eq!(guest.call(probe, &[]), Ok(None));
    }
    assert_eq!(guest.call("nested", &[1]), Ok(Some(7)));
    assert_eq!(guest.flags(&layout), [0, 1, 0, 0, 0, 0]);
    assert!(guest.call("data1", &[]).is_err());
    assert_eq!(guest.call("nested", &[2]), Ok(Some(7)));
    assert_eq!(guest.flags(&layout), [0, 1, 0, 0, 1, 0]);
    assert!(guest.call("elem1", &[]).is_err());
    assert_eq!(guest.call("again", &[0]), Ok(None));
    assert_eq!(guest.flags(&layout), [0, 1, 1, 0, 1, 0]);
    assert!(guest.call("data3", &[]).is_err());
    assert_eq!(guest.call("active", &[]), Ok(None));
    assert_eq!(guest.flags(&layout), [1; 6]);
    assert_eq!(guest.call("data2", &[]), Ok(None));
}

#[test]
fn a_flag_is_up_after_a_start_that_drops() {
    let (wasm, layout) = exposed(r#"(module (memory 1) (func (data.drop 1)) (start 0) (data "a") (data "b"))"#);
    assert_eq!(Guest::of(&wasm).flags(&layout), [1]);
}

#[test]
fn segments_can_be_dropped_from_outside() {
    let (wasm, layout) = exposed(DROPS);
    let module = compiled(&wasm);
    let start = || Guest::new(&module).unwrap();
    for position in 0..layout.segments.len() {
        let mut guest = start();
        guest.call(DROP, &[position as i32]).unwrap();
        let flags: Vec<i32> = (0..layout.segments.len()).map(|other| i32::from(other == position)).collect();
        assert_eq!(guest.flags(&layout), flags);
        for (probe, segment) in
            [("data1", Segment::Data(1)), ("data3", Segment::Data(3)), ("elem1", Segment::Element(1))]
        {
            assert_eq!(guest.call(probe, &[]).is_err(), layout.segments[position].segment == segment);
        }
        assert_eq!(guest.call("data2", &[]), Ok(None));
    }
    let mut guest = start();
    for position in [6, 7, -1, i32::MIN, i32::MAX] {
        assert!(guest.call(DROP, &[position]).is_err());
    }
    assert_eq!(guest.flags(&layout), [0; 6]);
}

#[test]
fn many_segments_can_be_dropped() {
    const SEGMENTS: usize = 20_000;
    let mut wat = r#"(module (memory 1) (func (export "f")"#.to_owned();
    (0..SEGMENTS).for_each(|index| write!(wat, "data.drop {index} ").unwrap());
    wat.push(')');
    (0..SEGMENTS).for_each(|_| wat.push_str(r#"(data "x")"#));
    wat.push(')');
    let (wasm, layout) = exposed(&wat);
    assert_eq!(layout.segments.len(), SEGMENTS);
    let mut guest = Guest::of(&wasm);
    for position in [0, 1, 511, 512, SEGMENTS / 3, SEGMENTS - 1] {
        guest.call(DROP, &[position as i32]).unwrap();
        assert_eq!(guest.global(&layout.segments[position].flag).unwrap_i32(), 1);
    }
    assert_eq!(guest.flags(&layout).iter().sum::<i32>(), 6);
    guest.call("f", &[]).unwrap();
    assert_eq!(guest.flags(&layout).iter().sum::<i32>(), SEGMENTS as i32);
}

#[test]
fn a_drop_in_long_form_is_seen() {
    let wasm = assemble(r#"(module (memory 1) (func (export "f") (param i32) (data.drop 0)) (data "x"))"#);
    let mut long = wasm_encoder::Module::new();
    for (id, count, items) in sections(&wasm) {
        // The opcode in four bytes, the index in two.
        let code = [0x0a, 0, 0xfc, 0x89, 0x80, 0x80, 0x00, 0x80, 0x00, 0x0b];
        let contents = match id {
            10 => [&[1][..], &code].concat(),
            12 => items,
            _ => [&[count as u8][..], &items].concat(),
        };
        long.section(&wasm_encoder::RawSection { id, data: &contents });
    }
    let long = {
        let mut bytes = long.finish();
        // The length of the body is that of what follows it.
        let body = bytes.windows(3).position(|window| window == [0x0a, 0, 0xfc]).unwrap();
        bytes[body] = 9;
        bytes
    };
    let (rewritten, layout) = exposed_bytes(&long);
    let mut guest = Guest::of(&rewritten);
    guest.call("f", &[0]).unwrap();
    assert_eq!(guest.flags(&layout), [1]);
}

#[test]
fn bodies_that_drop_nothing_are_copied() {
    let bodies = |wasm: &[u8]| -> Vec<Vec<u8>> {
        let bodies = Parser::new(0).parse_all(wasm).filter_map(|payload| match payload.unwrap() {
            Payload::CodeSectionEntry(body) => Some(body.as_bytes().to_vec()),
            _ => None,
        });
        bodies.collect()
    };
    let wasm = assemble(DROPS);
    let before = bodies(&wasm);
    let after = bodies(&exposed_bytes(&wasm).0);
    let changed: Vec<usize> = (0..before.len()).filter(|index| before[*index] != after[*index]).collect();
    assert_eq!(changed, [1, 2, 3, 4]);
    assert_eq!(after.len(), before.len() + 2);
}
