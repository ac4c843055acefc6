;; Memories and tables that may grow to more than an instance may have.
(module $growth
  (memory $first (export "memory") i64 1 262144)
  (memory $second i64 1)
  (memory $third i64 0 131072)
  (memory $narrow 1)
  (table $functions (export "functions") i64 1 funcref)
  (table $objects (export "objects") 0 externref)

  ;; In pages of 65,536 bytes, or in elements; each answers the old size, or -1.
  (func $grow1 (export "grow1") (param i64) (result i64) local.get 0 memory.grow $first)
  (func $grow2 (export "grow2") (param i64) (result i64) local.get 0 memory.grow $second)
  (func $grow3 (export "grow3") (param i64) (result i64) local.get 0 memory.grow $third)
  (func $grow4 (export "grow4") (param i32) (result i32) local.get 0 memory.grow $narrow)
  (func $grow_functions (export "grow_functions") (param i64) (result i64)
    ref.null func local.get 0 table.grow $functions)
  (func $grow_objects (export "grow_objects") (param i32) (result i32)
    ref.null extern local.get 0 table.grow $objects)

  ;; So many times by a page.
  (func $grow_often (export "grow_often") (param $n i64)
    loop $again
      i64.const 1
      memory.grow $first
      drop
      local.get $n
      i64.const 1
      i64.sub
      local.tee $n
      i64.eqz
      i32.eqz
      br_if $again
    end)

  (func $load8 (export "load8") (param i64) (result i32)
    local.get 0 i32.load8_u $first)
  (func $store8 (export "store8") (param i64 i32)
    local.get 0 local.get 1 i32.store8 $first))
