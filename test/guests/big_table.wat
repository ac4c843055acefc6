;; A table of ten million entries from the start, for a limit on tables.
(module $big_table
  (table $table (export "table") 10000000 funcref)
  (func $size (export "size") (result i32) table.size $table)
  (func $grow (export "grow") (param i32) (result i32)
    ref.null func local.get 0 table.grow $table))
