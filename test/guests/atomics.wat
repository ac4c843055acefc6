;; Atomic instructions on a memory that is not shared.
(module $atomics
  (memory (export "memory") 1)
  (func (export "add") (param i32) (result i32) (i32.atomic.rmw.add (i32.const 8) (local.get 0)))
  (func (export "swap") (param i64 i64) (result i64)
    (i64.atomic.rmw.cmpxchg (i32.const 16) (local.get 0) (local.get 1)))
  (func (export "unaligned") (result i32) (i32.atomic.load (i32.const 2)))
  (func (export "notify") (result i32) (memory.atomic.notify (i32.const 8) (i32.const 1)))
  (func (export "wait") (result i32) (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1)))
  (func (export "fence") atomic.fence))
