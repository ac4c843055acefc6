;; Two tables, neither with the name a C compiler gives to its own, so the
;; host has to be told which one is meant.
(module $tables
  (type $ii (func (param i32) (result i32)))

  (table $first (export "first") 4 16 funcref)
  (table $second (export "second") 2 8 externref)
  (elem (table $first) (i32.const 0) func $plus_one $double $square)
  (elem declare func $minus_one)

  (func $plus_one (param i32) (result i32) local.get 0 i32.const 1 i32.add)
  (func $minus_one (param i32) (result i32) local.get 0 i32.const 1 i32.sub)
  (func $double (param i32) (result i32) local.get 0 i32.const 2 i32.mul)
  (func $square (param i32) (result i32) local.get 0 local.get 0 i32.mul)

  (func $size (export "size") (result i32) table.size $first)
  ;; Grows by n entries of $minus_one; answers the old size, or -1.
  (func $grow (export "grow") (param $n i32) (result i32)
    ref.func $minus_one
    local.get $n
    table.grow $first)
  (func $get (export "get") (param i32) (result funcref) local.get 0 table.get $first)
  (func $set (export "set") (param i32 funcref) local.get 0 local.get 1 table.set $first)
  ;; fill(from, n) with $minus_one, clear(from, n) with null.
  (func $fill (export "fill") (param i32 i32)
    local.get 0 ref.func $minus_one local.get 1 table.fill $first)
  (func $clear (export "clear") (param i32 i32)
    local.get 0 ref.null func local.get 1 table.fill $first)
  ;; copy(to, from, n) within the first table.
  (func $copy (export "copy") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 table.copy $first $first)
  ;; call(i, x) = first[i](x)
  (func $call (export "call") (param $i i32) (param $x i32) (result i32)
    local.get $x local.get $i call_indirect $first (type $ii))

  ;; The same for the table of host references.
  (func $size2 (export "size2") (result i32) table.size $second)
  (func $grow2 (export "grow2") (param i32) (result i32)
    ref.null extern local.get 0 table.grow $second)
  (func $get2 (export "get2") (param i32) (result externref) local.get 0 table.get $second)
  (func $set2 (export "set2") (param i32 externref) local.get 0 local.get 1 table.set $second))
