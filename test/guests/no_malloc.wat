;; malloc that never has anything: the host must not write to address 0.
(module $no_malloc
  (memory (export "memory") i64 1)
  (func $malloc (export "malloc") (param i64) (result i64) i64.const 0)
  (func $free (export "free") (param i64))
  ;; The byte at an address, to show that nothing was written.
  (func $load8 (export "load8") (param i64) (result i32)
    local.get 0 i32.load8_u)
  ;; Would be called with two strings, if there were memory for them.
  (func $handle (export "handle") (param i64 i64) (result i64) i64.const 0))
