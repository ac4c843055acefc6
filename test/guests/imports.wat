;; Calls from the guest to the host, of every shape, and back again.
(module $imports
  (import "env" "add" (func $add (param i32 i32) (result i32)))
  (import "env" "wide" (func $wide (param i64) (result i64)))
  (import "env" "single" (func $single (param f32) (result f32)))
  (import "env" "double" (func $double (param f64) (result f64)))
  (import "env" "vec" (func $vec (param v128) (result v128)))
  (import "env" "none" (func $none))
  (import "env" "pair" (func $pair (param i32) (result i32 i64)))
  (import "env" "extern" (func $extern (param externref) (result externref)))
  (import "env" "callback" (func $callback (param i32) (result i32)))
  (import "env" "log" (func $log (param i32 i32)))

  (memory (export "memory") 1)
  (global $total (export "total") (mut i32) (i32.const 0))
  (global $heap (mut i32) (i32.const 1024))

  ;; The name a C compiler gives to its table of function pointers.
  (table $functions (export "__indirect_function_table") 3 3 funcref)
  (elem (i32.const 0) $ten_times $add_to_global $nest)

  (data (i32.const 64) "Hello, host!\00")

  ;; Plain calls: the arguments through, the result back.
  (func $call_add (export "call_add") (param i32 i32) (result i32)
    local.get 0 local.get 1 call $add)
  (func $call_wide (export "call_wide") (param i64) (result i64)
    local.get 0 call $wide)
  (func $call_single (export "call_single") (param f32) (result f32)
    local.get 0 call $single)
  (func $call_double (export "call_double") (param f64) (result f64)
    local.get 0 call $double)
  (func $call_vec (export "call_vec") (param v128) (result v128)
    local.get 0 call $vec)
  (func $call_none (export "call_none") call $none)
  (func $call_pair (export "call_pair") (param i32) (result i32 i64)
    local.get 0 call $pair)
  (func $call_extern (export "call_extern") (param externref) (result externref)
    local.get 0 call $extern)
  (func $call_callback (export "call_callback") (param i32) (result i32)
    local.get 0 call $callback)
  ;; Gives the host the address and length of "Hello, host!".
  (func $call_log (export "call_log")
    i32.const 64 i32.const 12 call $log)

  ;; n host calls in one guest call: sum = env.add(sum, i) for i = 1..n.
  (func $call_many (export "call_many") (param $n i32) (result i32)
    (local $i i32) (local $sum i32)
    block $done
      loop $next
        local.get $i
        local.get $n
        i32.ge_u
        br_if $done
        local.get $i
        i32.const 1
        i32.add
        local.set $i
        local.get $sum
        local.get $i
        call $add
        local.set $sum
        br $next
      end
    end
    local.get $sum)

  ;; nest(0) = 0, nest(n) = env.callback(n - 1) + n. When the host answers
  ;; callback(k) by calling nest(k), the result is 1 + 2 + ... + n.
  (func $nest (export "nest") (param $n i32) (result i32)
    local.get $n
    i32.eqz
    if
      i32.const 0
      return
    end
    local.get $n
    i32.const 1
    i32.sub
    call $callback
    local.get $n
    i32.add)

  (func $peek (export "peek") (param i32) (result i32)
    local.get 0 i32.load)
  (func $poke (export "poke") (param i32 i32)
    local.get 0 local.get 1 i32.store)

  ;; Writes v at address 512, calls env.callback(512), then reads address 512
  ;; again: what the host wrote in between must be seen.
  (func $mem_then_import (export "mem_then_import") (param $v i32) (result i32)
    i32.const 512
    local.get $v
    i32.store
    i32.const 512
    call $callback
    drop
    i32.const 512
    i32.load)

  ;; Changes the memory, calls the host and traps after that.
  (func $import_then_trap (export "import_then_trap") (param i32) (result i32)
    local.get 0
    call $callback
    drop
    unreachable)

  (func $add_to_global (export "add_to_global") (param i32) (result i32)
    global.get $total
    local.get 0
    i32.add
    global.set $total
    global.get $total)

  ;; In the table only, so it can be called by index and not by name.
  (func $ten_times (param i32) (result i32)
    local.get 0 i32.const 10 i32.mul)

  ;; Hands out memory from 1024 on, in steps of 8 bytes; 0 when there is no
  ;; more. Nothing ever comes back.
  (func $malloc (export "malloc") (param $size i32) (result i32)
    (local $at i32)
    global.get $heap
    local.set $at
    local.get $size
    i32.const 65536
    local.get $at
    i32.sub
    i32.gt_u
    if
      i32.const 0
      return
    end
    local.get $at
    local.get $size
    i32.add
    i32.const 7
    i32.add
    i32.const -8
    i32.and
    global.set $heap
    local.get $at)
  (func $free (export "free") (param i32)))
