;; A 64-bit memory of 1 page that may grow to 65536 pages (4 GiB).
;; The host's reads and writes are checked against these loads and stores.
(module $memory64
  (memory $memory (export "memory") i64 1 65536)
  (data (i64.const 64) "Hello, World!\00")
  ;; The next free byte for malloc.
  (global $heap (mut i64) (i64.const 1024))

  ;; Both in pages of 65,536 bytes; grow answers the old size, or -1.
  (func $size (export "size") (result i64) memory.size)
  (func $grow (export "grow") (param i64) (result i64) local.get 0 memory.grow)

  (func $load8 (export "load8") (param i64) (result i32)
    local.get 0 i32.load8_u)
  (func $store8 (export "store8") (param i64 i32)
    local.get 0 local.get 1 i32.store8)
  (func $load64 (export "load64") (param i64) (result i64)
    local.get 0 i64.load)
  (func $store64 (export "store64") (param i64 i64)
    local.get 0 local.get 1 i64.store)

  ;; fill(address, byte, length)
  (func $fill (export "fill") (param i64 i32 i64)
    local.get 0 local.get 1 local.get 2 memory.fill)
  ;; copy(to, from, length); the two may overlap.
  (func $copy (export "copy") (param i64 i64 i64)
    local.get 0 local.get 1 local.get 2 memory.copy)

  ;; The length of the NUL-terminated string at an address.
  (func $strlen (export "strlen") (param $at i64) (result i64)
    (local $n i64)
    block $done
      loop $next
        local.get $at
        local.get $n
        i64.add
        i32.load8_u
        i32.eqz
        br_if $done
        local.get $n
        i64.const 1
        i64.add
        local.set $n
        br $next
      end
    end
    local.get $n)

  ;; Hands out memory from 1024 on, in steps of 8 bytes, and grows the memory
  ;; for it; 0 when that is refused. Nothing ever comes back.
  (func $malloc (export "malloc") (param $size i64) (result i64)
    (local $at i64) (local $end i64) (local $pages i64)
    global.get $heap
    local.set $at
    ;; More than the whole memory can ever hold; also keeps the sum from
    ;; wrapping round.
    local.get $size
    i64.const 0x100000000
    i64.gt_u
    if
      i64.const 0
      return
    end
    local.get $at
    local.get $size
    i64.add
    i64.const 7
    i64.add
    i64.const -8
    i64.and
    local.set $end
    ;; The pages needed for $end, rounded up.
    local.get $end
    i64.const 65535
    i64.add
    i64.const 16
    i64.shr_u
    local.set $pages
    local.get $pages
    memory.size
    i64.gt_u
    if
      local.get $pages
      memory.size
      i64.sub
      memory.grow
      i64.const -1
      i64.eq
      if
        i64.const 0
        return
      end
    end
    local.get $end
    global.set $heap
    local.get $at)
  (func $free (export "free") (param i64)))
