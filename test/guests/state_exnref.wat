;; A global and a table that can hold an exception.
(module $state_exnref
  (tag $failure (param i32))
  (global $caught (mut exnref) (ref.null exn))
  (table $table 2 8 exnref)
  (global $calls (mut i32) (i32.const 0))

  (func $catch (result exnref)
    (block $handler (result exnref)
      (try_table (result exnref) (catch_all_ref $handler)
        i32.const 7 throw $failure)))
  (func (export "count") (result i32)
    global.get $calls i32.const 1 i32.add global.set $calls global.get $calls)
  (func (export "keep") call $catch global.set $caught)
  (func (export "forget") ref.null exn global.set $caught)
  (func (export "keep_entry") i32.const 1 call $catch table.set $table)
  (func (export "forget_entry") i32.const 1 ref.null exn table.set $table)
  (func (export "grow") (result i32) ref.null exn i32.const 2 table.grow $table)
  (func (export "holds") (result i32 i32)
    global.get $caught ref.is_null i32.eqz
    i32.const 1 table.get $table ref.is_null i32.eqz))
