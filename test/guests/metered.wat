;; A guest that says what it is about to use, as wasm-metering makes them: each block begins with a call of the meter.
(module $metered
  (import "metering" "usegas" (func $usegas (param i32)))
  (import "env" "callback" (func $callback (param i32) (result i32)))
  (import "env" "metering_gasUsed" (func $used (result f64)))

  (memory (export "memory") 1)
  (table $functions (export "__indirect_function_table") 2 funcref)
  (elem (i32.const 0) $usegas $take)
  (global $rounds (export "rounds") (mut i32) (i32.const 0))

  ;; What it is told.
  (func $take (export "take") (param i32)
    local.get 0 call $usegas)

  ;; 7, for 3.
  (func (export "seven") (result i32)
    i32.const 3 call $usegas
    i32.const 7)

  ;; So many rounds, for 10 and 5 each; `rounds` counts them.
  (func $loop (export "loop") (param $n i32) (result i32)
    i32.const 10 call $usegas
    block $done
      loop $next
        i32.const 5 call $usegas
        local.get $n i32.eqz br_if $done
        local.get $n i32.const 1 i32.sub local.set $n
        global.get $rounds i32.const 1 i32.add global.set $rounds
        br $next
      end
    end
    global.get $rounds)

  ;; So often this amount.
  (func (export "gulp") (param $times i32) (param $amount i32)
    loop $next
      local.get $amount call $usegas
      local.get $times i32.const 1 i32.sub local.tee $times br_if $next
    end)

  ;; 100 before the import and 1 after it.
  (func (export "ask") (param i32) (result i32)
    i32.const 100 call $usegas
    local.get 0 call $callback
    i32.const 1 call $usegas)

  ;; What it is told has been used, after 20 more.
  (func (export "used") (result f64)
    i32.const 20 call $usegas
    call $used)

  ;; A trap, for 2.
  (func (export "trap")
    i32.const 2 call $usegas
    unreachable))
