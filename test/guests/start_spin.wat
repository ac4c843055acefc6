;; A start function that never ends: the time limit must hold while the
;; instance is being made.
(module $start_spin
  (func $start
    loop $again
      br $again
    end)
  (start $start)
  (func $get (export "get") (result i32) i32.const 42))
