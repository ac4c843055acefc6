;; A sum in the memory and one in a global, and ways of a call to end after it has added to both.
(module
  (memory (export "memory") 1 1)
  (global $sum (mut i64) (i64.const 0))

  (func $add (export "add") (param i64) (result i64)
    (global.set $sum (i64.add (global.get $sum) (local.get 0)))
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (local.get 0)))
    (i64.add (i64.mul (global.get $sum) (i64.const 1000)) (i64.load (i32.const 0))))

  (func (export "add_and_trap") (param i64)
    (drop (call $add (local.get 0)))
    unreachable)

  (func (export "add_and_spin") (param i64)
    (drop (call $add (local.get 0)))
    (loop $again (br $again))))
