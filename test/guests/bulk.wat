;; Every operation that is charged by its last operand, on 32-bit and 64-bit
;; memories and tables of 1 page and 4 entries.
(module $bulk
  (import "env" "again" (func $again))
  (memory $narrow (export "memory") 1 2)
  (memory $wide i64 1 2)
  (table $first 4 8 funcref)
  (table $second i64 4 funcref)
  (data $text "0123456789")
  (elem $both func $fill $fill64)

  ;; fill(address, byte, length)
  (func $fill (export "fill") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 memory.fill $narrow)
  (func $fill64 (export "fill64") (param i64 i32 i64)
    local.get 0 local.get 1 local.get 2 memory.fill $wide)
  ;; copy(to, from, length); copy_across copies from the wide memory.
  (func $copy (export "copy") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 memory.copy $narrow $narrow)
  (func $copy64 (export "copy64") (param i64 i64 i64)
    local.get 0 local.get 1 local.get 2 memory.copy $wide $wide)
  (func $copy_across (export "copy_across") (param i32 i64 i32)
    local.get 0 local.get 1 local.get 2 memory.copy $narrow $wide)
  ;; init(to, from, length) with the text.
  (func $init (export "init") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 memory.init $narrow $text)
  (func $init64 (export "init64") (param i64 i32 i32)
    local.get 0 local.get 1 local.get 2 memory.init $wide $text)

  ;; table_fill(from, length) with null.
  (func $table_fill (export "table_fill") (param i32 i32)
    local.get 0 ref.null func local.get 1 table.fill $first)
  (func $table_fill64 (export "table_fill64") (param i64 i64)
    local.get 0 ref.null func local.get 1 table.fill $second)
  (func $table_copy (export "table_copy") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 table.copy $first $first)
  (func $table_copy64 (export "table_copy64") (param i64 i64 i64)
    local.get 0 local.get 1 local.get 2 table.copy $second $second)
  (func $table_init (export "table_init") (param i32 i32 i32)
    local.get 0 local.get 1 local.get 2 table.init $first $both)
  (func $table_init64 (export "table_init64") (param i64 i32 i32)
    local.get 0 local.get 1 local.get 2 table.init $second $both)
  (func $drop (export "drop")
    data.drop $text elem.drop $both)

  ;; Grow by n, and answer the old size or -1.
  (func $table_grow (export "table_grow") (param i32) (result i32)
    ref.null func local.get 0 table.grow $first)
  (func $table_grow64 (export "table_grow64") (param i64) (result i64)
    ref.null func local.get 0 table.grow $second)
  (func $memory_grow (export "memory_grow") (param i32) (result i32)
    local.get 0 memory.grow $narrow)
  (func $memory_grow64 (export "memory_grow64") (param i64) (result i64)
    local.get 0 memory.grow $wide)

  ;; Asks the host, then counts to n.
  (func $ask_and_count (export "ask_and_count") (param $n i32) (result i32)
    (local $i i32)
    call $again
    loop $next
      local.get $i i32.const 1 i32.add local.tee $i
      local.get $n i32.lt_u br_if $next
    end
    local.get $i))
