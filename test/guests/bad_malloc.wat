;; malloc that answers an address far outside its memory, and a handle that
;; answers one too: the host must check both and not trust them.
(module $bad_malloc
  (memory (export "memory") i64 1)
  (func $malloc (export "malloc") (param i64) (result i64) i64.const 0x10000000000)
  (func $free (export "free") (param i64))
  (func $handle (export "handle") (param i64 i64) (result i64) i64.const -1))
