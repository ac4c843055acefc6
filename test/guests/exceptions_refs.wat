;; Legacy exceptions that carry the types exceptions.wat leaves out: a vector
;; and references.
(module $exceptions_refs
  (tag $vec (param v128))
  (tag $ref (param externref funcref i32))
  (func $catch_v128 (export "catch_v128") (param v128) (result v128)
    try (result v128)
      local.get 0
      throw $vec
    catch $vec
    end)
  (func $catch_refs (export "catch_refs")
      (param externref funcref i32) (result externref funcref i32)
    try (result externref funcref i32)
      local.get 0
      local.get 1
      local.get 2
      throw $ref
    catch $ref
    end))
