;; The standard exception instructions: try_table, throw, throw_ref. Exports
;; with a name from exceptions.wat give the same results.
(module $exceptions_final
  (tag $failure (export "failure") (param i32 f64))
  (tag $a (param i32))
  (tag $b (param i32))
  (tag $empty)

  (func $ok (export "ok") (result i32) i32.const 42)

  (func $catch_i32 (export "catch_i32") (param i32) (result i32)
    block $caught (result i32)
      try_table (catch $a $caught)
        local.get 0
        throw $a
      end
      i32.const 9999
    end)

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

  ;; 0 -> 0, 1 -> 10 + 1, 2 -> 20 + 2, 3 and 4 -> 30.
  (func $order (export "order") (param i32) (result i32)
    block $all
      block $is_b (result i32)
        block $is_a (result i32)
          try_table (catch $a $is_a) (catch $b $is_b) (catch_all $all)
            local.get 0
            call $throw_number
          end
          i32.const 0
          return
        end
        i32.const 10
        i32.add
        return
      end
      i32.const 20
      i32.add
      return
    end
    i32.const 30)

  ;; Caught with its reference and thrown on: 5 -> 1005.
  (func $rethrow_inner (export "rethrow_inner") (param i32) (result i32)
    block $outer (result i32)
      try_table (catch $a $outer)
        block $inner (result i32 exnref)
          try_table (catch_ref $a $inner)
            local.get 0
            throw $a
          end
          unreachable
        end
        throw_ref
      end
      unreachable
    end
    i32.const 1000
    i32.add)

  ;; The same with catch_all_ref: (5, 0.5) -> (5, 0.5).
  (func $rethrow_all (export "rethrow_all") (param i32 f64) (result i32 f64)
    block $outer (result i32 f64)
      try_table (catch $failure $outer)
        block $inner (result exnref)
          try_table (catch_all_ref $inner)
            local.get 0
            local.get 1
            throw $failure
          end
          unreachable
        end
        throw_ref
      end
      unreachable
    end)

  (func $throw_uncaught (export "throw_uncaught") (param i32 f64)
    local.get 0
    local.get 1
    throw $failure)

  ;; A trap is no exception: 0 must trap and not give 9999.
  (func $trap_in_try (export "trap_in_try") (param i32) (result i32)
    block $caught
      try_table (result i32) (catch_all $caught)
        i32.const 1
        local.get 0
        i32.div_s
      end
      return
    end
    i32.const 9999))
