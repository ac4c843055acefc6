;; A module whose border Emscripten has made free of 64-bit integers: what its
;; invoke_jj calls takes and gives an i64, so that the host has to call it by
;; way of dynCall_jj, with halves, and not by the table.
(module
  (type $wide (func (param i64) (result i64)))
  (import "env" "invoke_jj" (func $invoke_jj (param i32 i32 i32) (result i32)))
  (import "env" "_emscripten_throw_longjmp" (func $throw))
  (memory (export "memory") 1)
  (table (export "__indirect_function_table") 4 funcref)
  (elem (i32.const 1) $double $jump)
  (global $stack (mut i32) (i32.const 65536))
  (global $threw (mut i32) (i32.const 0))
  (global $high (mut i32) (i32.const 0))

  (func (export "emscripten_stack_get_current") (result i32) (global.get $stack))
  (func (export "_emscripten_stack_restore") (param i32) (global.set $stack (local.get 0)))
  (func (export "_emscripten_tempret_set") (param i32) (global.set $high (local.get 0)))
  (func (export "setThrew") (param i32 i32)
    (if (i32.eqz (global.get $threw)) (then (global.set $threw (local.get 0)))))

  (func $double (type $wide) (i64.shl (local.get 0) (i64.const 1)))
  (func $jump (type $wide)
    (global.set $stack (i32.sub (global.get $stack) (i32.const 64)))
    (call $throw)
    (i64.const 9999))

  (func $join (param $low i32) (param $high i32) (result i64)
    (i64.or (i64.extend_i32_u (local.get $low))
            (i64.shl (i64.extend_i32_u (local.get $high)) (i64.const 32))))
  (func $upper (param i64) (result i32)
    (i32.wrap_i64 (i64.shr_u (local.get 0) (i64.const 32))))

  (func (export "dynCall_jj") (param $entry i32) (param $low i32) (param $high i32) (result i32)
    (local $result i64)
    (local.set $result
      (call_indirect (type $wide) (call $join (local.get $low) (local.get $high)) (local.get $entry)))
    (global.set $high (call $upper (local.get $result)))
    (i32.wrap_i64 (local.get $result)))

  ;; Entry 1 gives twice the value, 2 jumps (and this gives -1), 3 is empty.
  (func (export "call") (param $entry i32) (param $value i64) (result i64)
    (local $low i32)
    (global.set $threw (i32.const 0))
    (local.set $low
      (call $invoke_jj (local.get $entry) (i32.wrap_i64 (local.get $value)) (call $upper (local.get $value))))
    (if (global.get $threw) (then (return (i64.const -1))))
    (call $join (local.get $low) (global.get $high))))
