;; Every kind of state that an instance can have, exported or not, with the
;; operations that change it. Indices are shifted by what is imported and by
;; what never changes. What is random is made to fit: any number is an address.
(module $state
  (type $ii (func (param i32) (result i32)))

  (import "env" "host" (func $host (type $ii)))

  (memory $memory (export "memory") 1 64)
  (memory $second 1 8)
  (memory $third i64 1 16)
  (data (memory $memory) (i32.const 64) "in the beginning\00")
  (data (memory $second) (i32.const 65536) "")
  (data (memory $second) (i32.const 4090) "over a page's end")
  (data (memory $third) (i64.const 8) "64 bit")
  (data $passive "0123456789abcdef")
  (data $other "fedcba9876543210")

  (global $constant i32 (i32.const 99))
  (global $i32 (export "i32") (mut i32) (i32.const 1))
  (global $i64 (mut i64) (i64.const 2))
  (global $name i64 (i64.const 98))
  (global $f32 (mut f32) (f32.const 3))
  (global $f64 (export "f64") (mut f64) (f64.const 4))
  (global $v128 (mut v128) (v128.const i32x4 5 6 7 8))
  (global $func (mut funcref) (ref.func $of_a_global))
  (global $null (export "null") (mut funcref) (ref.null func))
  (global $extern (mut externref) (ref.null extern))

  (table $first (export "first") 4 64 funcref)
  (table $hidden 2 200 funcref)
  (table $externs 2 8 externref)
  ;; Never changes: what references are made from.
  (table $choices 8 8 funcref)
  (table $scratch 64 64 funcref)
  (elem (table $first) (i32.const 0) func $plus_one $double)
  (elem (table $choices) (i32.const 0) func $plus_one $double $count $host $of_a_global $declared $of_a_segment)
  (elem $functions func $of_a_segment $plus_one $host $double)
  (elem $expressions funcref (ref.null func) (ref.func $count) (ref.func $of_a_segment) (ref.null func))
  (elem declare func $declared)

  (func $plus_one (type $ii) local.get 0 i32.const 1 i32.add)
  (func $double (type $ii) local.get 0 local.get 0 i32.add)
  ;; A function that changes the state.
  (func $count (type $ii)
    global.get $i32 local.get 0 i32.add global.set $i32
    global.get $i32)
  (func $of_a_global (type $ii) local.get 0 i32.const 100 i32.add)
  (func $declared (type $ii) local.get 0 i32.const 200 i32.add)
  (func $of_a_segment (type $ii) local.get 0 i32.const 300 i32.add)

  ;; Memories: put(to, value), get(from), grow(pages), size().
  (func $at (param i32) (result i32) ;; below 64 KiB, with room for 8 bytes
    local.get 0 i32.const 65535 i32.and i32.const 65528 i32.rem_u)
  (func (export "put1") (param i32 i64) local.get 0 local.get 1 i64.store $memory)
  (func (export "put2") (param i32 i64) local.get 0 local.get 1 i64.store $second)
  (func (export "put3") (param i64 i64) local.get 0 local.get 1 i64.store $third)
  (func (export "get1") (param i32) (result i64) local.get 0 i64.load $memory)
  (func (export "get2") (param i32) (result i64) local.get 0 i64.load $second)
  (func (export "get3") (param i64) (result i64) local.get 0 i64.load $third)
  (func (export "grow1") (param i32) (result i32) local.get 0 memory.grow $memory)
  (func (export "grow2") (param i32) (result i32) local.get 0 memory.grow $second)
  (func (export "grow3") (param i64) (result i64) local.get 0 memory.grow $third)
  (func (export "sizes") (result i32 i32 i64) memory.size $memory memory.size $second memory.size $third)
  ;; fill(to, byte, size), copy(to, from, size) from the second to the first.
  (func (export "fill1") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.fill $memory)
  (func (export "fill2") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.fill $second)
  (func (export "copy") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.copy $memory $second)
  ;; init(to, from, size) of the passive segments.
  (func (export "data_init") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.init $memory $passive)
  (func (export "data_init2") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.init $second $other)
  (func (export "data_drop") data.drop $passive)
  (func (export "data_drop2") data.drop $other)

  ;; Globals.
  (func (export "set_i32") (param i32) local.get 0 global.set $i32)
  (func (export "set_i64") (param i64) local.get 0 global.set $i64)
  (func (export "set_f32") (param f32) local.get 0 global.set $f32)
  (func (export "set_f64") (param f64) local.get 0 global.set $f64)
  (func (export "set_v128") (param v128) local.get 0 global.set $v128)
  (func (export "set_func") (param i32) local.get 0 table.get $choices global.set $func)
  (func (export "set_null") (param i32) local.get 0 table.get $choices global.set $null)
  (func (export "set_extern") (param externref) local.get 0 global.set $extern)
  (func (export "numbers") (result i32 i64 f32 f64 v128)
    global.get $i32 global.get $i64 global.get $f32 global.get $f64 global.get $v128)
  (func (export "references") (result funcref funcref externref)
    global.get $func global.get $null global.get $extern)
  ;; call_global(which, x) of $func or $null.
  (func (export "call_global") (param i32 i32) (result i32)
    i32.const 63
    local.get 0 if (result funcref) global.get $null else global.get $func end
    table.set $scratch
    local.get 1 i32.const 63 call_indirect $scratch (type $ii)
    i32.const 63 ref.null func table.set $scratch)

  ;; Tables: set(at, which), grow(entries, which), fill(at, which, entries),
  ;; copy(to, from, entries), call(at, x).
  (func (export "set") (param i32 i32) local.get 0 local.get 1 table.get $choices table.set $first)
  (func (export "grow") (param i32 i32) (result i32) local.get 1 table.get $choices local.get 0 table.grow $first)
  (func (export "fill") (param i32 i32 i32)
    local.get 0 local.get 1 table.get $choices local.get 2 table.fill $first)
  (func (export "table_copy") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 table.copy $first $hidden)
  (func (export "call") (param i32 i32) (result i32) local.get 1 local.get 0 call_indirect $first (type $ii))
  (func (export "set_hidden") (param i32 i32) local.get 0 local.get 1 table.get $choices table.set $hidden)
  (func (export "grow_hidden") (param i32 i32) (result i32)
    local.get 1 table.get $choices local.get 0 table.grow $hidden)
  (func (export "call_hidden") (param i32 i32) (result i32) local.get 1 local.get 0 call_indirect $hidden (type $ii))
  (func (export "set_entry_extern") (param i32 externref) local.get 0 local.get 1 table.set $externs)
  (func (export "get_entry_extern") (param i32) (result externref) local.get 0 table.get $externs)
  (func (export "grow_externs") (param i32 externref) (result i32) local.get 1 local.get 0 table.grow $externs)
  (func (export "table_sizes") (result i32 i32 i32) table.size $first table.size $hidden table.size $externs)
  (func (export "elem_init") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 table.init $first $functions)
  (func (export "elem_init2") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 table.init $hidden $expressions)
  (func (export "elem_drop") elem.drop $functions)
  (func (export "elem_drop2") elem.drop $expressions)

  ;; Something of everything, and changes some of it.
  (func (export "mix") (param $x i32) (result i32)
    (local $at i32)
    local.get $x call $at local.set $at
    ;; memory[at] += second[at] + i64 + x, and so on
    local.get $at
    local.get $at i64.load $memory
    local.get $at i64.load $second i64.add
    local.get $at i64.extend_i32_u i64.load $third i64.add
    global.get $i64 i64.add
    local.get $x i64.extend_i32_s i64.add
    i64.store $memory
    global.get $i64
    local.get $at i64.load $memory i64.add
    i64.const 0x9E3779B97F4A7C15 i64.mul
    global.set $i64
    local.get $at i64.extend_i32_u global.get $i64 i64.store $third
    global.get $i64 i64.const 32 i64.shr_u i32.wrap_i64
    global.get $i32 i32.add
    global.get $f32 i32.reinterpret_f32 i32.add
    global.get $v128 i32x4.extract_lane 2 i32.add
    memory.size $memory i32.add
    table.size $first i32.add)

  ;; Imports in between: what comes before a wait at one is not all of it.
  (func (export "ask") (param i32) (result i32)
    global.get $i32 i32.const 1 i32.add global.set $i32
    local.get 0 call $host
    global.get $i32 i32.add)
  (func (export "spin") (loop $again br $again))

  ;; For the host's own strings.
  (func (export "malloc") (param i32) (result i32)
    (local $at i32)
    global.get $break local.set $at
    global.get $break local.get 0 i32.add global.set $break
    local.get $at)
  (func (export "free") (param i32))
  (global $break (mut i32) (i32.const 4096)))
