;; A 64-bit memory of 16 GiB from the start, for a limit on memory.
(module $big_memory
  (memory (export "memory") i64 262144)
  (func $size (export "size") (result i64) memory.size))
