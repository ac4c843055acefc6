;; Both kinds of exception instructions in one module, which the standard does
;; not allow: should be refused with a message that says so.
(module $exceptions_mixed
  (tag $a (param i32))
  (func $old (export "old") (param i32) (result i32)
    try (result i32)
      local.get 0
      throw $a
    catch $a
    end)
  (func $new (export "new") (param i32) (result i32)
    block $caught (result i32)
      try_table (catch $a $caught)
        local.get 0
        throw $a
      end
      i32.const 9999
    end))
