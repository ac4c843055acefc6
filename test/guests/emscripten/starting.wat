;; A program that notes what its clock shows when it starts: its constructors in
;; a global and in the memory, its main in another global.
(module
  (import "env" "emscripten_date_now" (func $now (result f64)))
  (memory (export "memory") 1)
  (global $constructed (mut f64) (f64.const -1))
  (global $ran (mut f64) (f64.const -1))

  (func (export "__wasm_call_ctors")
    (global.set $constructed (call $now))
    (f64.store (i32.const 8) (call $now)))
  (func (export "main") (param i32 i32) (result i32)
    (global.set $ran (call $now))
    (i32.const 0))

  (func (export "constructed") (result f64) (global.get $constructed))
  (func (export "noted") (result f64) (f64.load (i32.const 8)))
  (func (export "ran") (result f64) (global.get $ran))
  (func (export "now") (result f64) (call $now)))
