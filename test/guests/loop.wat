;; Guests that do not stop, for time limits, fuel and interruption.
(module $loop
  (import "env" "tick" (func $tick))

  (func $spin (export "spin")
    loop $again
      br $again
    end)

  ;; n turns; returns n.
  (func $count (export "count") (param $n i64) (result i64)
    (local $i i64)
    block $done
      loop $again
        local.get $i
        local.get $n
        i64.ge_u
        br_if $done
        local.get $i
        i64.const 1
        i64.add
        local.set $i
        br $again
      end
    end
    local.get $i)

  ;; n calls deep; returns n.
  (func $recurse (export "recurse") (param $n i64) (result i64)
    local.get $n
    i64.eqz
    if
      i64.const 0
      return
    end
    local.get $n
    i64.const 1
    i64.sub
    call $recurse
    i64.const 1
    i64.add)

  ;; Two calls for each, without end in practice: the stack stays small, so
  ;; only a check at function entry can stop it.
  (func $call_forest (export "call_forest") (param $depth i32)
    local.get $depth
    i32.eqz
    if
      return
    end
    local.get $depth
    i32.const 1
    i32.sub
    call $call_forest
    local.get $depth
    i32.const 1
    i32.sub
    call $call_forest)

  ;; One host call each turn.
  (func $import_loop (export "import_loop")
    loop $again
      call $tick
      br $again
    end)

  ;; One host call, then no more.
  (func $spin_after_import (export "spin_after_import")
    call $tick
    call $spin))
