//! What legacy exception handling does, case by case.
//!
//! The oracle runs the same cases in another engine, which keeps the expectations honest.

use crate::support::{assemble, lowered, run};

pub struct Case {
    pub name: &'static str,
    pub wat: &'static str,
    pub calls: &'static [(&'static [i32], &'static str)],
}

fn check(name: &str) {
    let case = ALL.iter().find(|case| case.name == name).expect("the case is listed");
    let module = lowered(&assemble(case.wat));
    for (args, expected) in case.calls {
        assert_eq!(run(&module, args), *expected, "run{args:?}");
    }
}

macro_rules! cases {
    ($($name:ident: $wat:literal, $([$($arg:literal),*] => $outcome:literal),+;)*) => {
        $(#[test] fn $name() { check(stringify!($name)) })*

        pub const ALL: &[Case] = &[
            $(Case { name: stringify!($name), wat: $wat, calls: &[$((&[$($arg),*], $outcome)),+] }),*
        ];
    };
}

cases! {
    first_matching_clause_handles: r#"(module
        (tag $a) (tag $b (param i32)) (tag $c)
        (func $pick (param i32)
            local.get 0 i32.eqz if throw $a end
            local.get 0 i32.const 1 i32.eq if i32.const 40 throw $b end
            local.get 0 i32.const 2 i32.eq if throw $c end)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0 call $pick
                i32.const 9
            catch $a
                i32.const 1
            catch $b
                i32.const 2 i32.add
            catch $a
                i32.const 77
            catch_all
                i32.const 3
            end))"#,
        [0] => "returns 1", [1] => "returns 42", [2] => "returns 3", [3] => "returns 9";

    exception_without_matching_clause_passes_on: r#"(module
        (tag $a) (tag $b (export "b") (param i32))
        (func (export "run") (param i32) (result i32)
            try (result i32)
                try (result i32)
                    local.get 0 throw $b
                catch $a
                    i32.const 1
                end
            catch $a
                i32.const 2
            end))"#,
        [5] => "throws b 5";

    try_without_clauses_passes_everything_on: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                try (result i32)
                    local.get 0 if throw $a end
                    i32.const 1
                end
            catch_all
                i32.const 2
            end))"#,
        [0] => "returns 1", [1] => "returns 2";

    exception_thrown_in_a_clause_is_not_for_its_own_try: r#"(module
        (tag $a) (tag $b)
        (func (export "run") (result i32)
            try (result i32)
                try (result i32)
                    throw $a
                catch $a
                    throw $b
                catch $b
                    i32.const 1
                catch_all
                    i32.const 2
                end
            catch $b
                i32.const 3
            end))"#,
        [] => "returns 3";

    exceptions_of_a_callee_are_caught: r#"(module
        (tag $a (param i32))
        (type $thrower (func (param i32) (result i32)))
        (table funcref (elem $thrower))
        (func $thrower (type $thrower)
            local.get 0 i32.const 1 i32.add throw $a)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0 call $thrower
            catch $a
            end
            try (param i32) (result i32)
                i32.const 0 call_indirect (type $thrower)
            catch $a
            end))"#,
        [0] => "returns 2";

    tail_call_leaves_the_try_before_it_throws: r#"(module
        (tag $a (export "a"))
        (func $thrower (result i32) throw $a)
        (func (export "run") (result i32)
            try (result i32)
                return_call $thrower
            catch_all
                i32.const 1
            end))"#,
        [] => "throws a";

    tail_call_leaves_the_delegate_before_it_throws: r#"(module
        (tag $a (export "a"))
        (func $thrower (result i32) throw $a)
        (func (export "run") (result i32)
            try $outer (result i32)
                try
                    try
                        return_call $thrower
                    delegate $outer
                catch_all
                end
                i32.const 2
            catch_all
                i32.const 1
            end))"#,
        [] => "throws a";

    tag_values_of_every_number_type_arrive: r#"(module
        (tag $all (param i32 i64 f32 f64 v128))
        (func $throw (param i32)
            local.get 0
            i64.const -5000000000
            f32.const 1.5
            f64.const -2.25
            v128.const i32x4 1 2 3 4
            throw $all)
        (func $take (param i32 i64 f32 f64 v128) (result i32 i64 i32 i64 i32 i32)
            local.get 0
            local.get 1
            local.get 2 i32.reinterpret_f32
            local.get 3 i64.reinterpret_f64
            local.get 4 i32x4.extract_lane 0
            local.get 4 i32x4.extract_lane 3)
        (func (export "run") (param i32) (result i32 i64 i32 i64 i32 i32)
            try (result i32 i64 f32 f64 v128)
                local.get 0 call $throw
                unreachable
            catch $all
            end
            call $take))"#,
        [7] => "returns 7 -5000000000 1069547520 -4611123068473966592 1 4";

    rethrow_keeps_values_and_tag: r#"(module
        (tag $a (export "a") (param i32 i64))
        (func (export "run") (param i32)
            try
                local.get 0 i64.const 8 throw $a
            catch $a
                drop drop
                rethrow 0
            end))"#,
        [6] => "throws a 6 8";

    rethrow_in_catch_all_keeps_the_exception: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            try (result i32)
                try (result i32)
                    local.get 0 throw $a
                catch_all
                    rethrow 0
                end
            catch $a
            end))"#,
        [6] => "returns 6";

    rethrow_of_an_outer_clause_throws_the_outer_exception: r#"(module
        (tag $a (export "a") (param i32))
        (func (export "run") (param i32)
            try $outer
                i32.const 1 throw $a
            catch $a
                drop
                try $inner
                    i32.const 2 throw $a
                catch $a
                    drop
                    local.get 0 if rethrow $inner end
                    rethrow $outer
                end
            end))"#,
        [0] => "throws a 1", [1] => "throws a 2";

    rethrow_of_an_outer_clause_works_after_inner_ones_have_ended: r#"(module
        (tag $a (export "a") (param i32))
        (func (export "run") (param i32) (result i32)
            try $outer (result i32)
                i32.const 1 throw $a
            catch $a
                try
                    try
                        i32.const 2 throw $a
                    catch $a
                        drop
                        rethrow 0
                    end
                catch_all
                    try
                        rethrow 1
                    catch_all
                        local.get 0 if rethrow $outer end
                    end
                end
                local.get 0 i32.eqz if rethrow $outer end
            end))"#,
        [0] => "throws a 1", [1] => "throws a 1";

    rethrow_is_caught_by_a_try_inside_the_clause: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            try $outer (result i32)
                local.get 0 throw $a
            catch_all
                try (result i32)
                    rethrow $outer
                catch $a
                    i32.const 10 i32.add
                end
            end))"#,
        [3] => "returns 13";

    rethrow_inside_nested_constructs_finds_its_clause: r#"(module
        (tag $a (export "a") (param i32))
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0 throw $a
            catch $a
                block
                    loop
                        local.get 0
                        if
                            rethrow 3
                        else
                            br 2
                        end
                    end
                end
            end))"#,
        [0] => "returns 0", [4] => "throws a 4";

    sibling_clauses_each_rethrow_what_they_caught: r#"(module
        (tag $a (export "a")) (tag $b (export "b")) (tag $c (export "c"))
        (func $pick (param i32)
            local.get 0 i32.eqz if throw $a end
            local.get 0 i32.const 1 i32.eq if throw $b end
            throw $c)
        (func (export "run") (param i32)
            try
                local.get 0 call $pick
            catch $a
                rethrow 0
            catch $b
                rethrow 0
            catch_all
                rethrow 0
            end))"#,
        [0] => "throws a", [1] => "throws b", [2] => "throws c";

    clause_in_a_loop_rethrows_its_latest_exception: r#"(module
        (tag $a (export "a") (param i32))
        (func (export "run") (param i32)
            (local i32)
            loop
                local.get 1 i32.const 1 i32.add local.set 1
                try
                    local.get 1 throw $a
                catch $a
                    drop
                    local.get 1 local.get 0 i32.lt_s br_if 1
                    rethrow 0
                end
            end))"#,
        [4] => "throws a 4";

    loop_goes_on_after_a_caught_exception: r#"(module
        (tag $odd (param i32))
        (func $check (param i32) (result i32)
            local.get 0 i32.const 1 i32.and
            if local.get 0 throw $odd end
            local.get 0)
        (func (export "run") (param i32) (result i32 i32)
            (local $even i32) (local $odd i32)
            loop $next
                try
                    local.get $even local.get 0 call $check i32.add local.set $even
                catch $odd
                    local.get $odd i32.add local.set $odd
                end
                local.get 0 i32.const 1 i32.sub local.tee 0
                br_if $next
            end
            local.get $even local.get $odd))"#,
        [5] => "returns 6 9";

    delegate_passes_over_the_handlers_between: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            try $target (result i32)
                try (result i32)
                    try (result i32)
                        try (result i32)
                            local.get 0 throw $a
                        delegate $target
                    catch $a
                        i32.const 100 i32.add
                    end
                catch_all
                    i32.const 200
                end
            catch $a
                i32.const 300 i32.add
            end))"#,
        [1] => "returns 301";

    delegate_without_exception_just_ends: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32 i32)
            try $target (result i32 i32)
                local.get 0
                try (param i32) (result i32)
                    try (param i32) (result i32)
                        i32.const 1 i32.add
                    delegate $target
                catch_all
                    i32.const 50
                end
                i32.const 7
            catch $a
                i32.const 60 i32.const 61
            end))"#,
        [1] => "returns 2 7";

    delegate_to_a_try_that_does_not_match_goes_further_out: r#"(module
        (tag $a) (tag $b)
        (func (export "run") (result i32)
            try (result i32)
                try $target (result i32)
                    try (result i32)
                        try (result i32)
                            throw $a
                        delegate $target
                    catch $a
                        i32.const 1
                    end
                catch $b
                    i32.const 2
                end
            catch $a
                i32.const 3
            end))"#,
        [] => "returns 3";

    delegate_to_a_block_goes_to_the_handler_around_it: r#"(module
        (tag $a)
        (func (export "run") (result i32)
            try (result i32)
                block $target (result i32)
                    try (result i32)
                        try (result i32)
                            throw $a
                        delegate $target
                    catch_all
                        i32.const 1
                    end
                end
            catch_all
                i32.const 2
            end))"#,
        [] => "returns 2";

    delegate_to_loop_and_if_goes_to_the_handler_around_them: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                loop $loop (result i32)
                    local.get 0
                    if $if (result i32)
                        try (result i32)
                            try (result i32)
                                throw $a
                            delegate $if
                        catch_all
                            i32.const 1
                        end
                    else
                        try (result i32)
                            try (result i32)
                                throw $a
                            delegate $loop
                        catch_all
                            i32.const 2
                        end
                    end
                end
            catch_all
                i32.const 3
            end))"#,
        [0] => "returns 3", [1] => "returns 3";

    delegate_to_a_try_without_clauses_goes_to_the_handler_around_it: r#"(module
        (tag $a)
        (func (export "run") (result i32)
            try (result i32)
                try $target (result i32)
                    try (result i32)
                        try (result i32)
                            throw $a
                        delegate $target
                    catch_all
                        i32.const 1
                    end
                end
            catch_all
                i32.const 2
            end))"#,
        [] => "returns 2";

    delegate_to_a_delegate_goes_where_that_leads: r#"(module
        (tag $a)
        (func (export "run") (result i32)
            try $far (result i32)
                try (result i32)
                    try $near (result i32)
                        try (result i32)
                            try (result i32)
                                throw $a
                            delegate $near
                        catch_all
                            i32.const 1
                        end
                    delegate $far
                catch_all
                    i32.const 2
                end
            catch_all
                i32.const 3
            end))"#,
        [] => "returns 3";

    delegate_to_a_delegate_that_has_nothing_to_pass_over: r#"(module
        (tag $a)
        (func (export "run") (result i32)
            try $far (result i32)
                try $near (result i32)
                    try (result i32)
                        try (result i32)
                            throw $a
                        delegate $near
                    catch_all
                        i32.const 1
                    end
                delegate $far
            catch_all
                i32.const 2
            end))"#,
        [] => "returns 2";

    exception_inside_nested_delegates_takes_the_innermost_first: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            try $outer (result i32)
                try (result i32)
                    try $middle (result i32)
                        try (result i32)
                            local.get 0 if throw $a end
                            try (result i32)
                                throw $a
                            delegate $middle
                        delegate $outer
                    catch_all
                        i32.const 1
                    end
                catch_all
                    i32.const 2
                end
            catch_all
                i32.const 3
            end))"#,
        [0] => "returns 1", [1] => "returns 3";

    delegate_to_the_caller_passes_over_all_handlers: r#"(module
        (tag $a (export "a") (param i32))
        (func (export "run") (param i32) (result i32)
            try (result i32)
                try (result i32)
                    local.get 0 throw $a
                delegate 1
            catch_all
                i32.const 1
            end))"#,
        [6] => "throws a 6";

    delegate_to_the_caller_reaches_the_handler_of_the_caller: r#"(module
        (tag $a (param i32))
        (func $callee (param i32) (result i32)
            try (result i32)
                try (result i32)
                    local.get 0 throw $a
                delegate 1
            catch_all
                i32.const 1
            end)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0 call $callee
            catch $a
                i32.const 10 i32.add
            end))"#,
        [6] => "returns 16";

    delegate_directly_in_the_function_changes_nothing: r#"(module
        (tag $a (export "a"))
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0 if throw $a end
                i32.const 1
            delegate 0))"#,
        [0] => "returns 1", [1] => "throws a";

    function_with_delegate_to_the_caller_still_returns_and_branches_out: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32 i32)
            try
                try
                    local.get 0 i32.eqz
                    if i32.const 1 i32.const 2 return end
                    i32.const 3 i32.const 4
                    local.get 0 i32.const 1 i32.eq br_if 2
                    drop drop
                    i32.const 5 i32.const 6
                    local.get 0 i32.const 2 i32.sub
                    br_table 2 2
                delegate 1
            catch_all
            end
            i32.const 7 i32.const 8))"#,
        [0] => "returns 1 2", [1] => "returns 3 4", [2] => "returns 5 6", [9] => "returns 5 6";

    delegate_in_a_clause_skips_the_try_of_the_clause: r#"(module
        (tag $a) (tag $b)
        (func (export "run") (result i32)
            try (result i32)
                try $target (result i32)
                    throw $a
                catch $a
                    try (result i32)
                        try (result i32)
                            throw $b
                        delegate $target
                    catch $b
                        i32.const 1
                    end
                catch $b
                    i32.const 2
                end
            catch $b
                i32.const 3
            end))"#,
        [] => "returns 3";

    delegate_can_pass_on_a_rethrown_exception: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            try $far (result i32)
                try $caught (result i32)
                    local.get 0 throw $a
                catch_all
                    try (result i32)
                        try (result i32)
                            rethrow $caught
                        delegate $far
                    catch_all
                        i32.const 1
                    end
                end
            catch $a
                i32.const 20 i32.add
            end))"#,
        [2] => "returns 22";

    delegated_exception_can_be_rethrown_by_its_target: r#"(module
        (tag $a (export "a") (param i32))
        (func (export "run") (param i32)
            try $target
                try
                    try
                        local.get 0 throw $a
                    delegate $target
                catch_all
                end
            catch_all
                rethrow 0
            end))"#,
        [2] => "throws a 2";

    several_delegates_lead_to_the_same_try: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            try $target (result i32)
                try
                    try
                        local.get 0 i32.eqz if i32.const 10 throw $a end
                    delegate $target
                    local.get 0 i32.const 1 i32.eq if i32.const 20 throw $a end
                    try
                        local.get 0 i32.const 2 i32.eq if i32.const 30 throw $a end
                    delegate $target
                catch_all
                end
                i32.const 40
            catch $a
            end))"#,
        [0] => "returns 10", [1] => "returns 40", [2] => "returns 30", [3] => "returns 40";

    delegates_lead_to_several_tries: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            try $outer (result i32)
                try $inner (result i32)
                    try (result i32)
                        local.get 0
                        if (result i32)
                            try (result i32) throw $a delegate $outer
                        else
                            try (result i32) throw $a delegate $inner
                        end
                    catch_all
                        i32.const 1
                    end
                catch_all
                    i32.const 2
                end
            catch_all
                i32.const 3
            end))"#,
        [0] => "returns 2", [1] => "returns 3";

    target_of_a_delegate_can_have_params_and_results: r#"(module
        (tag $a (param i64))
        (func (export "run") (param i32) (result i32 i64)
            (local i64)
            i64.const 5
            local.get 0
            try $target (param i64 i32) (result i32 i64)
                if (param i64) (result i64)
                    try (param i64) (result i64)
                        try (param i64) (result i64)
                            throw $a
                        delegate $target
                    catch_all
                        i64.const 0
                    end
                end
                local.set 1 i32.const 1 local.get 1
            catch $a
                local.set 1 i32.const 2 local.get 1
            end))"#,
        [0] => "returns 1 5", [1] => "returns 2 5";

    try_takes_params_and_gives_several_results: r#"(module
        (tag $a (param i32 i64)) (tag $b (param i64)) (tag $c (param i32))
        (func (export "run") (param i32) (result i64 i32 i64)
            i64.const 100
            local.get 0
            i64.const 7
            try (param i32 i64) (result i32 i64)
                i64.const 1 i64.add
                local.get 0 i32.const 1 i32.eq if (param i32 i64) (result i32 i64) throw $a end
                local.get 0 i32.const 2 i32.eq if (param i64) (result i64) throw $b end
                local.get 0 i32.const 3 i32.eq if i32.const 60 throw $c end
            catch $a
                i64.const 20 i64.add
            catch $b
                drop i32.const 30 i64.const 40
            catch $c
                i64.const 50
            catch_all
                i32.const 0 i64.const 0
            end))"#,
        [0] => "returns 100 0 8", [1] => "returns 100 1 28", [2] => "returns 100 30 40", [3] => "returns 100 60 50";

    rethrowing_clauses_work_under_params: r#"(module
        (tag $a (export "a") (param i32 i64))
        (func (export "run") (param i32) (result i32)
            local.get 0
            i64.const 3
            try (param i32 i64) (result i32)
                throw $a
            catch $a
                drop
                i32.eqz if rethrow 1 end
                local.get 0
            end))"#,
        [0] => "throws a 0 3", [1] => "returns 1";

    values_below_a_try_stay: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            i32.const 1000
            try (result i32)
                local.get 0
                try (result i32)
                    i32.const 5 throw $a
                catch $a
                end
                i32.add
                throw $a
            catch $a
            end
            i32.sub))"#,
        [1] => "returns 994";

    branches_leave_body_and_clause_with_values: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            block $out (result i32)
                try $try (result i32)
                    i32.const 10 local.get 0 i32.eqz br_if $out
                    drop
                    i32.const 20 local.get 0 i32.const 1 i32.eq br_if $try
                    drop
                    local.get 0 throw $a
                catch $a
                    drop
                    i32.const 30 local.get 0 i32.const 2 i32.eq br_if $out
                    drop
                    i32.const 40 local.get 0 i32.const 3 i32.eq br_if $try
                    drop
                    i32.const 50
                end
                i32.const 1 i32.add
            end))"#,
        [0] => "returns 10", [1] => "returns 21", [2] => "returns 30", [3] => "returns 41", [4] => "returns 51";

    br_table_crosses_bodies_clauses_and_delegates: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            (local i32)
            block $one
                try $two
                    throw $a
                catch_all
                    try $three
                        loop $again
                            try $four
                                try $five
                                    local.get 0
                                    local.get 0 i32.const 1 i32.add local.set 0
                                    local.get 1 i32.const 16 i32.add local.set 1
                                    br_table $again $five $four $three $two $one
                                delegate $three
                                local.get 1 i32.const 1 i32.or local.set 1
                            catch_all
                                unreachable
                            end
                            local.get 1 i32.const 2 i32.or local.set 1
                        end
                    catch_all
                        unreachable
                    end
                    local.get 1 i32.const 4 i32.or local.set 1
                end
                local.get 1 i32.const 8 i32.or local.set 1
            end
            local.get 1))"#,
        [0] => "returns 47", [1] => "returns 31", [2] => "returns 30", [3] => "returns 28", [4] => "returns 24",
        [5] => "returns 16";

    branch_from_an_inner_try_ends_the_outer_one: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            try $outer (result i32)
                try $inner
                    i32.const 1 local.get 0 br_if $outer
                    drop
                    throw $a
                catch $a
                    i32.const 2 br $outer
                end
                i32.const 3
            catch_all
                i32.const 4
            end))"#,
        [0] => "returns 2", [1] => "returns 1";

    clause_can_continue_a_loop_around_its_try: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            i32.const 0
            loop $loop (param i32) (result i32)
                try (param i32) (result i32)
                    i32.const 1 i32.add
                    throw $a
                catch $a
                    local.get 0 i32.const 1 i32.sub local.tee 0
                    br_if $loop
                end
            end))"#,
        [6] => "returns 6";

    return_leaves_body_and_clause: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            try
                local.get 0 if i32.const 1 return end
                throw $a
            catch_all
                i32.const 2 return
            end
            unreachable))"#,
        [0] => "returns 2", [1] => "returns 1";

    unreachable_code_may_hold_legacy_instructions: r#"(module
        (tag $a (param i32))
        (func (export "run") (param i32) (result i32)
            block (result i32)
                local.get 0
                br 0
                try $target (param i32 i64) (result i32)
                    unreachable
                    try (result f32)
                        try (result f64)
                            unreachable
                            throw $a
                        delegate $target
                        drop
                        f32.const 0
                    catch $a
                        throw $a
                        try (param i32) drop catch_all rethrow 1 end
                    catch_all
                        rethrow 0
                        f32.add
                    end
                    i32.trunc_f32_s
                    br_if $target
                catch $a
                    br 1
                    try (result i64) unreachable throw $a catch_all rethrow 0 end
                    drop
                    br_table 0 1 2
                end
            end))"#,
        [8] => "returns 8";

    tries_in_unreachable_tails_of_bodies_and_clauses: r#"(module
        (tag $a)
        (func (export "run") (param i32) (result i32)
            try $try (result i32)
                throw $a
                try throw $a catch_all end
                i32.const 1
            catch $a
                i32.const 2
                br $try
                try (param i32) (result i32)
                    try (result i32) i32.const 3 delegate $try
                    i32.add
                catch $a
                    rethrow $try
                end
            end))"#,
        [0] => "returns 2";

    empty_parts_are_allowed: r#"(module
        (tag $a)
        (func (export "run") (param i32)
            try end
            try delegate 0
            try catch $a end
            try catch_all end
            try try delegate 0 catch $a catch $a catch_all end))"#,
        [0] => "returns";

    if_arms_hold_tries: r#"(module
        (tag $a) (tag $b)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0
                if (result i32)
                    try (result i32) throw $a catch $a i32.const 1 end
                else
                    try (result i32) throw $b catch $a i32.const 2 end
                end
            catch $b
                i32.const 3
            end))"#,
        [0] => "returns 3", [1] => "returns 1";

    exception_unwinds_through_frames_that_do_not_match: r#"(module
        (tag $a (param i32)) (tag $b)
        (func $deep (param i32)
            local.get 0 i32.eqz if i32.const 9 throw $a end
            try
                local.get 0 i32.const 1 i32.sub call $deep
            catch $b
                unreachable
            end)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0 call $deep
                i32.const 0
            catch $a
            end))"#,
        [20] => "returns 9";

    every_frame_may_rethrow_on_the_way_out: r#"(module
        (tag $a (param i32))
        (global $trace (export "trace") (mut i64) (i64.const 0))
        (func $deep (param i32)
            local.get 0 i32.eqz if i32.const 9 throw $a end
            try
                local.get 0 i32.const 1 i32.sub call $deep
            catch_all
                global.get $trace i64.const 10 i64.mul local.get 0 i64.extend_i32_u i64.add global.set $trace
                rethrow 0
            end)
        (func (export "run") (param i32) (result i32)
            try (result i32)
                local.get 0 call $deep
                i32.const 0
            catch $a
            end))"#,
        [4] => "returns 9, trace 1234";
}
