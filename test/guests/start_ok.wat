;; A start function that ends: `get` and `get_memory` show that it ran.
(module $start_ok
  (memory (export "memory") 1)
  (global $value (mut i32) (i32.const 0))
  (func $start
    i32.const 42
    global.set $value
    i32.const 16
    i32.const 43
    i32.store)
  (start $start)
  (func $get (export "get") (result i32) global.get $value)
  (func $get_memory (export "get_memory") (result i32) i32.const 16 i32.load))
