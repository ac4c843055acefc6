;; A handle whose answer has no NUL before the end of the memory: a host that
;; reads a string from it must stop there.
(module $unterminated
  (memory (export "memory") i64 1 1)
  (global $heap (mut i64) (i64.const 1024))
  (func $malloc (export "malloc") (param i64) (result i64)
    global.get $heap
    global.get $heap
    local.get 0
    i64.add
    global.set $heap)
  (func $free (export "free") (param i64))
  ;; Fills the last 16 bytes with 'x' and answers their address.
  (func $handle (export "handle") (param i64 i64) (result i64)
    i64.const 65520
    i32.const 120
    i64.const 16
    memory.fill
    i64.const 65520))
