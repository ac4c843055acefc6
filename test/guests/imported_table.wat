;; Needs a table from the host, which gives none: a link error.
(module $imported_table
  (import "env" "table" (table $table 1 funcref))
  (func $size (export "size") (result i32) table.size $table))
