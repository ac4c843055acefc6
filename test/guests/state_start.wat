;; A start function that leaves an instance other than its module declares it:
;; memory and table have grown, what no data segment wrote is written, a
;; segment is dropped, and the host has been asked.
(module $state_start
  (type $ii (func (param i32) (result i32)))

  (import "env" "host" (func $host (type $ii)))

  (memory $memory (export "memory") 1 16)
  (table $table (export "table") 2 16 funcref)
  (global $starts (mut i32) (i32.const 0))
  (global $answer (mut i32) (i32.const -1))
  (data (i32.const 0) "data")
  (data $once "once")
  (data $left "left")
  (elem declare func $host $plus_one)

  (func $plus_one (type $ii) local.get 0 i32.const 1 i32.add)

  (func $start
    global.get $starts i32.const 1 i32.add global.set $starts
    i32.const 2 memory.grow drop
    ref.func $plus_one i32.const 3 table.grow $table drop
    i32.const 100000 i32.const 0x5a i32.const 5000 memory.fill
    i32.const 16 i32.const 0 i32.const 4 memory.init $once
    data.drop $once
    i32.const 41 call $host global.set $answer)
  (start $start)

  (func (export "starts") (result i32) global.get $starts)
  (func (export "answer") (result i32) global.get $answer)
  (func (export "size") (result i32) memory.size)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "load8") (param i32) (result i32) local.get 0 i32.load8_u)
  (func (export "fill") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.fill)
  (func (export "init_once") i32.const 24 i32.const 0 i32.const 4 memory.init $once)
  (func (export "init_left") i32.const 32 i32.const 0 i32.const 4 memory.init $left)
  (func (export "drop_left") data.drop $left)
  (func (export "table_size") (result i32) table.size $table)
  (func (export "clear") (param i32) local.get 0 ref.null func table.set $table)
  (func (export "set_host") (param i32) local.get 0 ref.func $host table.set $table)
  (func (export "call") (param i32 i32) (result i32) local.get 1 local.get 0 call_indirect $table (type $ii)))
