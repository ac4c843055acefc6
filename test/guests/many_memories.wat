;; Three memories, one of them 64-bit: a limit on memories, and a host that
;; must not take the wrong one for "memory".
(module $many_memories
  (memory $a (export "a") 1)
  (memory $memory (export "memory") 2)
  (memory $c (export "c") i64 3)
  (data (memory $a) (i32.const 0) "a\00")
  (data (memory $memory) (i32.const 0) "memory\00")
  (data (memory $c) (i64.const 0) "c\00")
  (func $first_bytes (export "first_bytes") (result i32 i32 i32)
    i32.const 0 i32.load8_u $a
    i32.const 0 i32.load8_u $memory
    i64.const 0 i32.load8_u $c))
