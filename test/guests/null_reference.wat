;; Traps on a null reference. They need typed function references, so they
;; are not in traps.wat: an engine without them can still load that one.
(module $null_reference
  (type $ii (func (param i32) (result i32)))

  (func $call_ref_null (export "call_ref_null") (result i32)
    i32.const 1
    ref.null $ii
    call_ref $ii)

  (func $as_non_null (export "as_non_null") (result i32)
    i32.const 1
    ref.null $ii
    ref.as_non_null
    call_ref $ii)

  (func $ok (export "ok") (result i32) i32.const 42))
