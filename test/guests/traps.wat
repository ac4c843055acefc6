;; One export for each kind of trap. `ok` shows that the instance still
;; works after a trap. The names are kept, for the backtraces.
(module $traps
  (type $ii (func (param i32) (result i32)))
  (type $none (func))

  (memory (export "memory") 1 1)
  ;; 0: a function of type (i)i, 1: null. Nothing from 2 on.
  (table $table 2 2 funcref)
  (elem (i32.const 0) $double)

  (func $double (param i32) (result i32)
    local.get 0 i32.const 2 i32.mul)

  (func $ok (export "ok") (result i32) i32.const 42)

  (func $unreachable (export "unreachable") unreachable)

  ;; The last valid address is 65535, so four bytes at 65533 are one too many.
  (func $load_out_of_bounds (export "load_out_of_bounds") (result i32)
    i32.const 65533 i32.load)
  (func $store_out_of_bounds (export "store_out_of_bounds")
    i32.const 65533 i32.const 1 i32.store)
  ;; Address plus offset is beyond 32 bits and must not wrap round to 3.
  (func $offset_out_of_bounds (export "offset_out_of_bounds") (result i32)
    i32.const 4 i32.load offset=0xffffffff)
  (func $fill_out_of_bounds (export "fill_out_of_bounds")
    i32.const 65535 i32.const 0 i32.const 2 memory.fill)

  (func $table_out_of_bounds (export "table_out_of_bounds") (result i32)
    i32.const 1 i32.const 2 call_indirect $table (type $ii))
  (func $table_get_out_of_bounds (export "table_get_out_of_bounds") (result funcref)
    i32.const 2 table.get $table)
  (func $indirect_call_to_null (export "indirect_call_to_null") (result i32)
    i32.const 1 i32.const 1 call_indirect $table (type $ii))
  (func $bad_signature (export "bad_signature")
    i32.const 0 call_indirect $table (type $none))

  ;; 1e30 has no place in an i32.
  (func $integer_overflow (export "integer_overflow") (result i32)
    f64.const 1e30 i32.trunc_f64_s)
  (func $integer_overflow_i64 (export "integer_overflow_i64") (result i64)
    f64.const 1e30 i64.trunc_f64_s)
  ;; -2^31 / -1 = 2^31, one more than an i32 can hold.
  (func $division_overflow (export "division_overflow") (result i32)
    i32.const 0x80000000 i32.const -1 i32.div_s)
  (func $division_overflow_i64 (export "division_overflow_i64") (result i64)
    i64.const 0x8000000000000000 i64.const -1 i64.div_s)

  (func $integer_division_by_zero (export "integer_division_by_zero") (result i32)
    i32.const 1 i32.const 0 i32.div_s)
  (func $remainder_by_zero (export "remainder_by_zero") (result i64)
    i64.const 1 i64.const 0 i64.rem_u)
  ;; The divisor comes from the host.
  (func $divide (export "divide") (param i32 i32) (result i32)
    local.get 0 local.get 1 i32.div_s)

  (func $bad_conversion_to_integer (export "bad_conversion_to_integer") (result i32)
    f64.const nan i32.trunc_f64_s)

  ;; Calls itself until the stack is used up. The addition after the call
  ;; keeps it from becoming a jump.
  (func $stack_overflow (export "stack_overflow") (param i32) (result i32)
    local.get 0
    i32.const 1
    i32.add
    call $stack_overflow
    i32.const 1
    i32.add)

  ;; A backtrace of three named functions: inner, middle, outer.
  (func $inner (param i32) (result i32)
    local.get 0
    i32.const 0
    i32.div_u)
  (func $middle (param i32) (result i32)
    local.get 0
    call $inner
    i32.const 1
    i32.add)
  (func $outer (export "outer") (param i32) (result i32)
    local.get 0
    call $middle
    i32.const 1
    i32.add))
