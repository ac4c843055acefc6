use super::*;

const GLOBAL: &str = "(global (mut i32) (i32.const 65536))";
const TAKE: &str = "(global.get 0) (i32.const 16) (i32.sub) (local.tee 1) (global.set 0)";
const GIVE: &str = "(global.set 0 (i32.add (local.get 1) (i32.const 16)))";

/// An image with these globals and a function for each of these bodies.
fn found(globals: &str, bodies: &[&str]) -> Option<u32> {
    let functions: String = bodies.iter().map(|body| format!("(func (param i32) (local i32 i32) {body})")).collect();
    stack_pointer(&wat::parse_str(format!("(module (memory 2) {globals} {functions})")).unwrap())
}

#[test]
fn a_stack_pointer_is_told_by_its_name() {
    let other = "(global (mut i32) (i32.const 9))";
    let named = "(global $__stack_pointer (mut i32) (i32.const 9))";
    assert_eq!(found(named, &[]), Some(0));
    assert_eq!(found(&format!("{other} {named}"), &[]), Some(1));
    assert_eq!(found(other, &[]), None);
}

#[test]
fn a_stack_pointer_is_told_by_its_use() {
    let frame = format!("{TAKE} {GIVE}");
    let frames = [frame.as_str(); 4];
    assert_eq!(found(GLOBAL, &frames), Some(0));
    assert_eq!(found(GLOBAL, &frames[1..]), None);
    for (global, expected) in [
        ("(global (mut i32) (i32.const 131072))", Some(0)),
        ("(global (mut i32) (i32.const 16))", Some(0)),
        // Beyond the memory, not aligned, none, unchangeable, or the result of something.
        ("(global (mut i32) (i32.const 131088))", None),
        ("(global (mut i32) (i32.const 100))", None),
        ("(global (mut i32) (i32.const 0))", None),
        ("(global (mut i32) (i32.add (i32.const 16) (i32.const 16)))", None),
        ("(global (mut i32) (i32.const 9)) (global (mut i32) (i32.const 65536))", None),
    ] {
        assert_eq!(found(global, &frames), expected, "{global}");
    }
    for (body, expected) in [
        // Functions that do not return, and what takes as much as it is told or rounds down.
        (TAKE, Some(0)),
        ("(global.set 0 (local.tee 1 (i32.sub (global.get 0) (local.get 0))))", Some(0)),
        ("(global.set 0 (local.tee 1 (i32.and (i32.sub (global.get 0) (i32.const 96)) (i32.const -64))))", Some(0)),
        ("(local.set 1 (global.get 0)) (global.set 0 (local.get 1))", Some(0)),
        // As Binaryen shortens numbers.
        ("(global.set 0 (local.tee 1 (i32.add (global.get 0) (i32.const -64))))", Some(0)),
        ("(local.set 1 (global.get 0)) (global.set 0 (i32.sub (local.get 1) (i32.const -64)))", Some(0)),
        // As no stack is used.
        ("(global.set 0 (local.get 0))", None),
        ("(global.set 0 (i32.const 16))", None),
        ("(global.set 0 (i32.sub (global.get 0) (i32.const 16)))", None),
        ("(global.set 0 (i32.add (local.get 0) (i32.const 16)))", None),
        ("(global.set 0 (local.tee 1 (i32.sub (global.get 0) (i32.const 8))))", None),
        ("(global.set 0 (local.tee 1 (i32.sub (global.get 0) (i32.const -16))))", None),
        ("(global.set 0 (local.tee 1 (i32.add (global.get 0) (i32.const 16))))", None),
        // More than there is.
        ("(global.set 0 (local.tee 1 (i32.sub (global.get 0) (i32.const 65552))))", None),
    ] {
        assert_eq!(found(GLOBAL, &[&frames[..], &[body]].concat()), expected, "{body}");
    }
}

#[test]
fn what_a_guest_counts_is_no_stack() {
    let take = "(global.set 0 (local.tee 1 (i32.sub (global.get 0) (i32.const 16))))";
    assert_eq!(found("(global (mut i32) (i32.const 100))", &[take]), None);
    assert_eq!(found("(global (mut i32) (i32.const 96))", &[take; 5]), None);
}
