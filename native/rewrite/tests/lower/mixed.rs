//! Legacy instructions among those of later proposals, which all have to come through.

use crate::support::{assemble, lowered, run};

fn check(wat: &str, calls: &[(&[i32], &str)]) {
    let module = lowered(&assemble(wat));
    for (args, expected) in calls {
        assert_eq!(run(&module, args), *expected, "run{args:?}");
    }
}

#[test]
fn try_table_and_try_nest_in_each_other() {
    check(
        r#"(module
            (tag $a) (tag $b) (tag $c (param i32))
            (func $pick (param i32)
                local.get 0 i32.eqz if throw $a end
                local.get 0 i32.const 1 i32.eq if throw $b end
                i32.const 5 throw $c)
            (func (export "run") (param i32) (result i32)
                block $c (result i32)
                    try (result i32)
                        block $a
                            try_table (catch $a $a)
                                try
                                    try_table (catch $c $c)
                                        local.get 0 call $pick
                                    end
                                catch $a
                                    throw $a
                                end
                            end
                            unreachable
                        end
                        i32.const 1
                    catch $b
                        i32.const 2
                    end
                end))"#,
        &[(&[0], "returns 1"), (&[1], "returns 2"), (&[2], "returns 5")],
    );
}

#[test]
fn delegate_to_a_try_table_is_handled_by_it() {
    check(
        r#"(module
            (tag $a (param i32))
            (func (export "run") (param i32) (result i32)
                block $caught (result i32)
                    local.get 0
                    try_table $target (param i32) (result i32) (catch $a $caught)
                        try (param i32) (result i32)
                            try (param i32) (result i32)
                                i32.const 1 i32.add
                                local.get 0 br_if $target
                                throw $a
                            delegate $target
                        catch_all
                            i32.const 50
                        end
                    end
                    i32.const 100 i32.add
                end))"#,
        &[(&[0], "returns 1"), (&[1], "returns 102")],
    );
}

#[test]
fn delegate_passes_over_a_try_table() {
    check(
        r#"(module
            (tag $a)
            (func (export "run") (result i32)
                try $target (result i32)
                    block $wrong
                        try_table (catch_all $wrong)
                            try throw $a delegate $target
                        end
                    end
                    i32.const 1
                catch_all
                    i32.const 2
                end))"#,
        &[(&[], "returns 2")],
    );
}

#[test]
fn delegate_to_a_try_table_without_clauses_goes_further_out() {
    check(
        r#"(module
            (tag $a)
            (func (export "run") (result i32)
                try (result i32)
                    try_table $target
                        try
                            try throw $a delegate $target
                        catch_all
                        end
                    end
                    i32.const 1
                catch_all
                    i32.const 2
                end))"#,
        &[(&[], "returns 2")],
    );
}

#[test]
fn exception_references_and_rethrows_name_the_same_exceptions() {
    check(
        r#"(module
            (tag $a (export "a") (param i32))
            (func (export "run") (param i32)
                (local exnref)
                try
                    local.get 0 throw $a
                catch_all
                    block $ref (result exnref)
                        try_table (catch_all_ref $ref)
                            rethrow 2
                        end
                        unreachable
                    end
                    local.set 1
                end
                try
                    local.get 1 throw_ref
                catch $a
                    drop rethrow 0
                end))"#,
        &[(&[6], "throws a 6")],
    );
}

#[test]
fn branches_on_references_keep_their_targets() {
    check(
        r#"(module
            (tag $a (param i31ref))
            (func (export "run") (param i32) (result i32)
                (local $ref i31ref)
                local.get 0 if local.get 0 ref.i31 local.set $ref end
                block $null
                    try $try (result (ref i31))
                        try
                            local.get $ref
                            br_on_null $null
                            br_on_cast $try (ref any) (ref i31)
                            unreachable
                        catch $a
                            unreachable
                        end
                        unreachable
                    catch_all
                        unreachable
                    end
                    try (param (ref i31)) (result (ref i31))
                        throw $a
                    catch $a
                        br_on_non_null 0
                        unreachable
                    end
                    i31.get_s
                    return
                end
                i32.const -1))"#,
        &[(&[0], "returns -1"), (&[9], "returns 9")],
    );
}

#[test]
fn exceptions_carry_references_to_the_modules_own_types() {
    check(
        r#"(module
            (rec
                (type $point (struct (field i32) (field (ref null $other))))
                (type $other (struct (field (ref null $point)))))
            (type $get (func (result i32)))
            (tag $a (param (ref $point) (ref $get) externref i64))
            (elem declare func $seven)
            (func $seven (type $get) i32.const 7)
            (func $thrower (param i32)
                local.get 0 ref.null $other struct.new $point
                ref.func $seven
                ref.null extern
                i64.const 1
                throw $a)
            (func (export "run") (param i32) (result i32)
                local.get 0
                try (param i32) (result (ref $point) (ref $get))
                    call $thrower
                    unreachable
                catch $a
                    drop drop
                    local.get 0 i32.eqz if rethrow 1 end
                end
                call_ref $get
                local.set 0
                struct.get $point 0
                local.get 0
                i32.add))"#,
        &[(&[0], "throws"), (&[3], "returns 10")],
    );
}

#[test]
fn locals_without_default_are_set_before_use() {
    check(
        r#"(module
            (tag $a)
            (func (export "run") (param i32) (result i32)
                (local $ref (ref i31))
                local.get 0 ref.i31 local.set $ref
                try (result i32)
                    try
                        try
                            local.get 0 i32.eqz if throw $a end
                            local.get 0 i32.const 1 i32.eq br_if 1
                        delegate 2
                        throw $a
                    catch_all
                        local.get $ref i31.get_s i32.const 10 i32.add local.set 0
                        rethrow 0
                    end
                    local.get $ref i31.get_s
                catch $a
                    local.get $ref i31.get_s local.get 0 i32.add
                end))"#,
        &[(&[0], "throws"), (&[1], "returns 1"), (&[2], "returns 14")],
    );
}

#[test]
fn memory64_table64_and_several_memories_come_through() {
    check(
        r#"(module
            (memory $wide i64 1) (memory $narrow 1)
            (table $table i64 2 funcref)
            (elem (table $table) (i64.const 1) func $store)
            (tag $a (param i64))
            (type $fn (func (param i64) (result i32)))
            (func $store (type $fn)
                local.get 0 i32.const 77 i32.store $wide offset=8
                i32.const 4 i32.const 11 i32.store $narrow
                local.get 0 throw $a)
            (func (export "run") (param i32) (result i32)
                try (result i32)
                    local.get 0 i64.extend_i32_u
                    i64.const 1 call_indirect $table (type $fn)
                catch $a
                    i32.load $wide offset=8
                    i32.const 4 i32.load $narrow
                    i32.add
                end))"#,
        &[(&[16], "returns 88")],
    );
}
