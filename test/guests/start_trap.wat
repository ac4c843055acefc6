;; A start function that traps: no instance may come of it.
(module $start_trap
  (func $start unreachable)
  (start $start)
  (func $get (export "get") (result i32) i32.const 42))
