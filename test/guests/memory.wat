;; A 32-bit memory of 1 page that may grow to 1024 pages (64 MiB).
;; The host's reads and writes are checked against these loads and stores.
(module $memory
  (memory $memory (export "memory") 1 1024)
  (data (i32.const 64) "Hello, World!\00")
  ;; The next free byte for malloc.
  (global $heap (mut i32) (i32.const 1024))

  ;; Both in pages of 65,536 bytes; grow answers the old size, or -1.
  (func $size (export "size") (result i32) memory.size)
  (func $grow (export "grow") (param i32) (result i32) local.get 0 memory.grow)

  (func $load8 (export "load8") (param i32) (result i32)
    local.get 0 i32.load8_u)
  (func $store8 (export "store8") (param i32 i32)
    local.get 0 local.get 1 i32.store8)
  (func $load64 (export "load64") (param i32) (result i64)
    local.get 0 i64.load)
  (func $store64 (export "store64") (param i32 i64)
    local.get 0 local.get 1 i64.store)

  ;; fill(address, byte, length)
  (func $fill (export "fill") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 memory.fill)
  ;; copy(to, from, length); the two may overlap.
  (func $copy (export "copy") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 memory.copy)

  ;; The length of the NUL-terminated string at an address.
  (func $strlen (export "strlen") (param $at i32) (result i32)
    (local $n i32)
    block $done
      loop $next
        local.get $at
        local.get $n
        i32.add
        i32.load8_u
        i32.eqz
        br_if $done
        local.get $n
        i32.const 1
        i32.add
        local.set $n
        br $next
      end
    end
    local.get $n)

  ;; Hands out memory from 1024 on, in steps of 8 bytes, and grows the memory
  ;; for it; 0 when that is refused. Nothing ever comes back.
  (func $malloc (export "malloc") (param $size i32) (result i32)
    (local $at i32) (local $end i32) (local $pages i32)
    global.get $heap
    local.set $at
    ;; More than the whole memory can ever hold; also keeps the sum from
    ;; wrapping round.
    local.get $size
    i32.const 0x4000000
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
    local.set $end
    ;; The pages needed for $end, rounded up.
    local.get $end
    i32.const 65535
    i32.add
    i32.const 16
    i32.shr_u
    local.set $pages
    local.get $pages
    memory.size
    i32.gt_u
    if
      local.get $pages
      memory.size
      i32.sub
      memory.grow
      i32.const -1
      i32.eq
      if
        i32.const 0
        return
      end
    end
    local.get $end
    global.set $heap
    local.get $at)
  (func $free (export "free") (param i32)))
