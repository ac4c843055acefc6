;; A program of WASI that counts what it has left of a stock, as LLVM's code makes room on a stack. It has no names.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (memory (export "memory") 1)
  (global (mut i32) (i32.const 100))

  ;; Takes 16, and ends the program.
  (func (export "take") (local i32)
    (global.set 0 (local.tee 0 (i32.sub (global.get 0) (i32.const 16))))
    (call 0 (i32.const 1)))

  (func (export "left") (result i32)
    (global.get 0)))
