;; A memory shared between threads: must be refused, because two threads make
;; the result depend on the machine.
(module $shared_memory
  (memory (export "memory") 1 2 shared)
  (func $add (export "add") (param i32) (result i32)
    i32.const 0 local.get 0 i32.atomic.rmw.add))
