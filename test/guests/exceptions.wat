;; The legacy exception instructions: try, catch, catch_all, delegate,
;; rethrow, throw. There is one export for each form; its result tells which
;; way was taken. README.md has the expected results.
(module $exceptions
  (type $ii (func (param i32) (result i32)))
  (import "env" "maybe_fail" (func $maybe_fail (result i32)))

  (tag $failure (export "failure") (param i32 f64))
  ;; $a and $b have the same type and must still be told apart.
  (tag $a (param i32))
  (tag $b (param i32))
  (tag $empty)
  (tag $long (param i64))
  (tag $float (param f32))
  (tag $double (param f64))
  (tag $all (param i32 i64 f32 f64))

  (memory (export "memory") 1)
  (table $table 1 1 funcref)
  (elem (i32.const 0) $throw_a)
  (global $steps (export "steps") (mut i32) (i32.const 0))

  (func $step (global.set $steps (i32.add (global.get $steps) (i32.const 1))))

  (func $ok (export "ok") (result i32) i32.const 42)

  ;; Throws by number: 0 nothing, 1 $a(1), 2 $b(2), 3 $empty,
  ;; anything else $failure(n, 0.5).
  (func $throw_number (param $n i32)
    block $other
      block $three
        block $two
          block $one
            block $zero
              local.get $n
              br_table $zero $one $two $three $other
            end
            return
          end
          i32.const 1
          throw $a
        end
        i32.const 2
        throw $b
      end
      throw $empty
    end
    local.get $n
    f64.const 0.5
    throw $failure)

  (func $throw_a (param i32) (result i32) local.get 0 throw $a)

  ;; --- Payloads: each throws its arguments and gives back what was caught.

  (func $catch_i32 (export "catch_i32") (param i32) (result i32)
    try (result i32)
      local.get 0
      throw $a
    catch $a
    end)
  (func $catch_i64 (export "catch_i64") (param i64) (result i64)
    try (result i64)
      local.get 0
      throw $long
    catch $long
    end)
  (func $catch_f32 (export "catch_f32") (param f32) (result f32)
    try (result f32)
      local.get 0
      throw $float
    catch $float
    end)
  (func $catch_f64 (export "catch_f64") (param f64) (result f64)
    try (result f64)
      local.get 0
      throw $double
    catch $double
    end)
  (func $catch_many (export "catch_many")
      (param i32 i64 f32 f64) (result i32 i64 f32 f64)
    try (result i32 i64 f32 f64)
      local.get 0
      local.get 1
      local.get 2
      local.get 3
      throw $all
    catch $all
    end)
  (func $catch_empty (export "catch_empty") (result i32)
    try (result i32)
      throw $empty
    catch $empty
      i32.const 1
    end)

  ;; --- Which handler.

  ;; 0 -> 0 (nothing thrown), 1 -> 10 + 1, 2 -> 20 + 2, 3 and 4 -> 30.
  (func $order (export "order") (param i32) (result i32)
    try (result i32)
      local.get 0
      call $throw_number
      i32.const 0
    catch $a
      i32.const 10
      i32.add
    catch $b
      i32.const 20
      i32.add
    catch_all
      i32.const 30
    end)

  ;; 0 -> 0, everything else -> 1.
  (func $catch_all (export "catch_all") (param i32) (result i32)
    try (result i32)
      local.get 0
      call $throw_number
      i32.const 0
    catch_all
      i32.const 1
    end)

  ;; The inner try does not know the tag. 1 -> 101 (inner), 2 -> 202 (outer),
  ;; 3 -> 300 (outer catch_all).
  (func $inner_passes (export "inner_passes") (param i32) (result i32)
    try (result i32)
      try (result i32)
        local.get 0
        call $throw_number
        i32.const 0
      catch $a
        i32.const 100
        i32.add
      end
    catch $b
      i32.const 200
      i32.add
    catch_all
      i32.const 300
    end)

  ;; A try without a handler does nothing: 2 -> 2.
  (func $bare_try (export "bare_try") (param i32) (result i32)
    try (result i32)
      try
        local.get 0
        call $throw_number
      end
      i32.const 0
    catch $b
    end)

  ;; --- Rethrow.

  ;; Rethrow from a handler to the next try out: 5 -> 1005.
  (func $rethrow_inner (export "rethrow_inner") (param i32) (result i32)
    try (result i32)
      try (result i32)
        local.get 0
        throw $a
      catch $a
        drop
        rethrow 0
      end
    catch $a
      i32.const 1000
      i32.add
    end)

  ;; In the handler of $a, another try catches $b and rethrows $a, not $b:
  ;; 5 -> 1005. The $b carries 7.
  (func $rethrow_outer (export "rethrow_outer") (param i32) (result i32)
    try (result i32)
      try $first (result i32)
        local.get 0
        throw $a
      catch $a
        drop
        try (result i32)
          i32.const 7
          throw $b
        catch $b
          drop
          rethrow $first
        end
      end
    catch $a
      i32.const 1000
      i32.add
    catch $b
      i32.const 2000
      i32.add
    end)

  ;; catch_all does not know what it has, and rethrow keeps it whole:
  ;; (5, 0.5) -> (5, 0.5).
  (func $rethrow_all (export "rethrow_all") (param i32 f64) (result i32 f64)
    try (result i32 f64)
      try (result i32 f64)
        local.get 0
        local.get 1
        throw $failure
      catch_all
        rethrow 0
      end
    catch $failure
    end)

  ;; The rethrow is inside a block and a loop of the handler: 5 -> 1005.
  (func $rethrow_in_block (export "rethrow_in_block") (param i32) (result i32)
    try (result i32)
      try $inner (result i32)
        local.get 0
        throw $a
      catch $a
        drop
        block
          loop
            local.get 0
            br_if 1
            unreachable
          end
        end
        block (result i32)
          rethrow $inner
        end
      end
    catch $a
      i32.const 1000
      i32.add
    end)

  ;; A handler that throws another one; the same try's other handlers must
  ;; not see it: 5 -> 2006.
  (func $throw_in_catch (export "throw_in_catch") (param i32) (result i32)
    try (result i32)
      try (result i32)
        local.get 0
        throw $a
      catch $a
        i32.const 1
        i32.add
        throw $b
      catch $b
        i32.const 9000
        i32.add
      catch_all
        i32.const 9999
      end
    catch $b
      i32.const 2000
      i32.add
    end)

  ;; --- Delegate.

  ;; To the try just outside: 5 -> 1005.
  (func $delegate_outer (export "delegate_outer") (param i32) (result i32)
    try $out (result i32)
      try (result i32)
        local.get 0
        throw $a
      delegate $out
    catch $a
      i32.const 1000
      i32.add
    end)

  ;; Past a try that would have caught it: 5 -> 1005.
  (func $delegate_past (export "delegate_past") (param i32) (result i32)
    try $out (result i32)
      try (result i32)
        try (result i32)
          local.get 0
          throw $a
        delegate $out
      catch $a
        i32.const 9000
        i32.add
      catch_all
        i32.const 9999
      end
    catch $a
      i32.const 1000
      i32.add
    end)

  ;; To the caller, past two tries of this function.
  (func $delegates (param i32) (result i32)
    try (result i32)
      try (result i32)
        try (result i32)
          local.get 0
          throw $a
        delegate 2
      catch_all
        i32.const 9998
      end
    catch_all
      i32.const 9999
    end)
  ;; 5 -> 3005.
  (func $delegate_caller (export "delegate_caller") (param i32) (result i32)
    try (result i32)
      local.get 0
      call $delegates
    catch $a
      i32.const 3000
      i32.add
    end)

  ;; To a block that is no try: on to the first try outside that block.
  ;; 5 -> 1005.
  (func $delegate_block (export "delegate_block") (param i32) (result i32)
    try (result i32)
      block $plain (result i32)
        try (result i32)
          try (result i32)
            local.get 0
            throw $a
          delegate $plain
        catch_all
          i32.const 9999
        end
      end
    catch $a
      i32.const 1000
      i32.add
    end)

  ;; From a handler to the try that handler is of: that try has been left, so
  ;; the exception goes on outwards. 5 -> 2005.
  (func $delegate_from_catch (export "delegate_from_catch") (param i32) (result i32)
    try (result i32)
      try $inner (result i32)
        throw $empty
      catch $empty
        try (result i32)
          local.get 0
          throw $b
        delegate $inner
      catch $b
        i32.const 9000
        i32.add
      end
    catch $b
      i32.const 2000
      i32.add
    end)

  ;; Nothing thrown in a delegated try: 5 -> 6.
  (func $delegate_nothing (export "delegate_nothing") (param i32) (result i32)
    try $out (result i32)
      try (result i32)
        local.get 0
        i32.const 1
        i32.add
      delegate $out
    catch_all
      i32.const 9999
    end)

  ;; A delegate to a try that delegates too: 5 -> 1005.
  (func $delegate_twice (export "delegate_twice") (param i32) (result i32)
    try $out (result i32)
      try $middle (result i32)
        try (result i32)
          local.get 0
          throw $a
        delegate $middle
      delegate $out
    catch $a
      i32.const 1000
      i32.add
    end)

  ;; --- Operands and results.

  ;; A try with parameters and two results. (x, y): x = 0 -> throws $a(y) and
  ;; gives (y + 1, 1); otherwise gives (x + y, 2).
  (func $params_results (export "params_results") (param i32 i32) (result i32 i64)
    local.get 0
    local.get 1
    try (param i32 i32) (result i32 i64)
      i32.add
      local.get 0
      i32.eqz
      if
        local.get 1
        throw $a
      end
      i64.const 2
    catch $a
      i32.const 1
      i32.add
      i64.const 1
    end)

  ;; Operands below the try stay where they are: 5 -> 100 + 5 + 10.
  (func $operands_below (export "operands_below") (param i32) (result i32)
    i32.const 100
    i32.const 10
    try (result i32)
      ;; These two are lost.
      i32.const 7
      i64.const 8
      local.get 0
      throw $a
    catch $a
    end
    i32.add
    i32.add)

  ;; What was set before the throw is seen in the handler: 5 -> 5 + 3.
  (func $locals (export "locals") (param i32) (result i32)
    (local $x i32)
    i32.const 1
    local.set $x
    try
      i32.const 2
      local.set $x
      i32.const 3
      local.set $x
      local.get 0
      throw $a
    catch $a
      local.get $x
      i32.add
      local.set $x
    end
    local.get $x)

  ;; --- Leaving by a branch.

  ;; br out of the try body; the try no longer counts after it: 5 -> 1005.
  (func $br_try (export "br_try") (param i32) (result i32)
    try (result i32)
      block $out
        try
          br $out
        catch_all
          i32.const 0
          throw $b
        end
        unreachable
      end
      local.get 0
      throw $a
    catch $a
      i32.const 1000
      i32.add
    end)

  ;; br out of a handler with a value: 5 -> 6.
  (func $br_catch (export "br_catch") (param i32) (result i32)
    block $out (result i32)
      try
        local.get 0
        throw $a
      catch $a
        i32.const 1
        i32.add
        br $out
      end
      i32.const 9999
    end)

  ;; br to the try's own label, from its body and from its handler:
  ;; 0 -> 50 (body), otherwise 60 (handler).
  (func $br_self (export "br_self") (param i32) (result i32)
    try $self (result i32)
      i32.const 50
      local.get 0
      i32.eqz
      br_if $self
      drop
      throw $empty
    catch_all
      i32.const 60
      br $self
    end)

  ;; br_table from the body of one try and the handler of another.
  ;; 0 -> 10, 1 -> 11, 2 and more -> 12, plus 20 when it came from the handler
  ;; (second argument not 0).
  (func $br_table (export "br_table") (param $n i32) (param $how i32) (result i32)
    (local $r i32)
    block $two
      block $one
        block $zero
          local.get $how
          i32.eqz
          if
            try
              local.get $n
              br_table $zero $one $two
            catch_all
            end
          end
          i32.const 20
          local.set $r
          try
            throw $empty
          catch_all
            local.get $n
            br_table $zero $one $two
          end
          unreachable
        end
        local.get $r
        i32.const 10
        i32.add
        return
      end
      local.get $r
      i32.const 11
      i32.add
      return
    end
    local.get $r
    i32.const 12
    i32.add)

  ;; return from the body (0 -> 1) and from the handler (otherwise 2).
  (func $return (export "return") (param i32) (result i32)
    try
      local.get 0
      i32.eqz
      if
        i32.const 1
        return
      end
      throw $empty
    catch $empty
      i32.const 2
      return
    end
    i32.const 3)

  ;; Code that is never reached may hold a try with operands of any type.
  ;; -> 4
  (func $dead_code (export "dead_code") (result i32)
    block $out (result i32)
      i32.const 4
      br $out
      try (param i64) (result i32)
        drop
        throw $empty
        i32.add
      catch $a
        rethrow 0
        i32.add
      catch_all
        unreachable
        i32.add
      end
      i32.add
    end)

  ;; --- Loops and calls.

  ;; n throws, each caught: returns the sum of the payloads, 0 + ... + n-1.
  (func $loop_throws (export "loop_throws") (param $n i32) (result i64)
    (local $i i32) (local $sum i64)
    block $done
      loop $next
        local.get $i
        local.get $n
        i32.ge_u
        br_if $done
        try
          local.get $i
          throw $a
        catch $a
          i64.extend_i32_u
          local.get $sum
          i64.add
          local.set $sum
        end
        local.get $i
        i32.const 1
        i32.add
        local.set $i
        br $next
      end
    end
    local.get $sum)

  ;; The handler jumps back to the loop's start, n times, and the loop is
  ;; within another try. Returns n.
  (func $loop_from_catch (export "loop_from_catch") (param $n i32) (result i32)
    (local $i i32)
    try
      loop $next
        try
          local.get $i
          local.get $n
          i32.ge_u
          if
            throw $empty
          end
          local.get $i
          throw $a
        catch $a
          i32.const 1
          i32.add
          local.set $i
          br $next
        end
      end
    catch $empty
    end
    local.get $i)

  ;; Thrown three calls down; a try on the way does not know the tag.
  ;; n -> n + 400; $steps counts 2: no function goes on after its call.
  (func $deep (export "deep") (param i32) (result i32)
    i32.const 0
    global.set $steps
    try (result i32)
      local.get 0
      call $deep1
    catch $a
      i32.const 400
      i32.add
    end)
  (func $deep1 (param i32) (result i32)
    call $step
    try (result i32)
      local.get 0
      call $deep2
    catch $b
      drop
      i32.const 9999
    end
    call $step)
  (func $deep2 (param i32) (result i32)
    call $step
    local.get 0
    call $throw_a
    call $step)

  ;; The same through a table: n -> n + 500.
  (func $indirect (export "indirect") (param i32) (result i32)
    try (result i32)
      local.get 0
      i32.const 0
      call_indirect $table (type $ii)
    catch $a
      i32.const 500
      i32.add
    end)

  ;; n calls deep, then a throw that goes past all of them. n -> n.
  (func $far_throw (param $n i32) (param $all i32) (result i32)
    local.get $n
    i32.eqz
    if
      local.get $all
      throw $a
    end
    local.get $n
    i32.const 1
    i32.sub
    local.get $all
    call $far_throw
    i32.const 1
    i32.add)
  (func $unwind (export "unwind") (param i32) (result i32)
    try (result i32)
      local.get 0
      local.get 0
      call $far_throw
    catch $a
    end)

  ;; --- What reaches the host.

  ;; Nobody catches it: the host sees the tag "failure" and both values.
  (func $throw_uncaught (export "throw_uncaught") (param i32 f64)
    local.get 0
    local.get 1
    throw $failure)
  ;; Nobody catches it and its tag has no name.
  (func $throw_unnamed (export "throw_unnamed") (param i32)
    local.get 0
    throw $a)
  ;; Caught, counted and thrown on.
  (func $rethrow_uncaught (export "rethrow_uncaught") (param i32 f64)
    try
      local.get 0
      local.get 1
      throw $failure
    catch_all
      call $step
      rethrow 0
    end)

  ;; env.maybe_fail's answer, or 9999 when its failure was caught. A failure
  ;; of the host is no exception of the guest's: it must not be caught, and
  ;; 9999 must never be seen.
  (func $nested_import (export "nested_import") (result i32)
    try (result i32)
      call $maybe_fail
    catch_all
      i32.const 9999
    end)

  ;; Traps are no exceptions either: these must trap and not give 9999.
  (func $trap_in_try (export "trap_in_try") (param i32) (result i32)
    try (result i32)
      i32.const 1
      local.get 0
      i32.div_s
    catch_all
      i32.const 9999
    end)
  (func $overflow_in_try (export "overflow_in_try") (result i32)
    try (result i32)
      i32.const 0
      call $endless
    catch_all
      i32.const 9999
    end)
  (func $endless (param i32) (result i32)
    local.get 0
    i32.const 1
    i32.add
    call $endless
    i32.const 1
    i32.add)
  ;; A loop without end whose every turn throws: catch_all must not keep it
  ;; from being stopped.
  (func $spin (export "spin")
    loop $again
      try
        throw $empty
      catch_all
      end
      br $again
    end))
