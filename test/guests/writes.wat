;; Writes to a file, or to standard output, through WASI, in pieces.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "file")
  ;; A page of contents that are not zeros, at 65536.
  (func $fill (local $at i32)
    (local.set $at (i32.const 65536))
    (loop $next
      (i32.store8 (local.get $at) (i32.const 7))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 131072)))))
  (start $fill)
  ;; Writes so many bytes to a descriptor, in pieces of 4096: how many were written.
  (func $pieces (param $fd i32) (param $bytes i64) (result i64)
    (local $all i64)
    (i32.store (i32.const 32) (i32.const 65536))
    (i32.store (i32.const 36) (i32.const 4096))
    (loop $next
      (if (call $write (local.get $fd) (i32.const 32) (i32.const 1) (i32.const 40)) (then (return (i64.const -2))))
      (local.set $all (i64.add (local.get $all) (i64.load32_u (i32.const 40))))
      (br_if $next (i64.lt_u (local.get $all) (local.get $bytes))))
    (local.get $all))
  ;; The same to a file that is made anew.
  (func (export "write") (param $bytes i64) (result i64)
    (local $fd i32) (local $all i64)
    ;; O_CREAT and O_TRUNC, with the right to write.
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 9)
          (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16))
      (then (return (i64.const -1))))
    (local.set $fd (i32.load (i32.const 16)))
    (local.set $all (call $pieces (local.get $fd) (local.get $bytes)))
    (drop (call $close (local.get $fd)))
    (local.get $all))
  ;; And to the standard output, and a word to the error output.
  (func (export "print") (param $bytes i64) (result i64)
    (local $all i64)
    (local.set $all (call $pieces (i32.const 1) (local.get $bytes)))
    (i32.store (i32.const 32) (i32.const 0))
    (i32.store (i32.const 36) (i32.const 4))
    (drop (call $write (i32.const 2) (i32.const 32) (i32.const 1) (i32.const 40)))
    (local.get $all))
  (func (export "_initialize") (drop (call $pieces (i32.const 1) (i64.const 4096)))))
