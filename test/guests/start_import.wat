;; A start function that calls the host: `get` gives back what it answered.
(module $start_import
  (import "env" "hello" (func $hello (result i32)))
  (global $value (mut i32) (i32.const 0))
  (func $start
    call $hello
    global.set $value)
  (start $start)
  (func $get (export "get") (result i32) global.get $value))
