;; Objects of the garbage collector and typed references to functions.
(module $objects
  (type $unary (func (param i32) (result i32)))
  (type $numbers (array (mut i64)))
  (type $point (struct (field $x (mut i32)) (field $y (mut i32))))
  (type $list (struct (field $next (ref null $list)) (field $value i32)))
  (type $large (struct (field $itself (mut (ref null $large))) (field (ref $numbers))))
  (type $circle (struct (field $other (mut (ref null $circle)))))

  (import "env" "ask" (func $ask (param i32) (result i32)))

  (memory (export "memory") 1)
  (global $kept (mut (ref null $point)) (ref.null $point))
  (global $any (mut anyref) (ref.null any))
  (global $outside (mut externref) (ref.null extern))
  (global $chosen (mut (ref null $unary)) (ref.null $unary))
  (global $always (mut (ref $unary)) (ref.func $double))
  (table $entries 2 (ref null $point))
  (table $ways 2 8 (ref $unary) (ref.func $double))
  (elem declare func $double $ask $next)

  (func $double (type $unary) (i32.mul (local.get 0) (i32.const 2)))
  (func $next (type $unary) (i32.add (local.get 0) (i32.const 1)))

  ;; The sum of 1 to n, by way of a list.
  (func (export "sum") (param $n i32) (result i32)
    (local $list (ref null $list)) (local $sum i32)
    (loop $more
      (if (local.get $n)
        (then
          (local.set $list (struct.new $list (local.get $list) (local.get $n)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br $more))))
    (loop $add
      (if (i32.eqz (ref.is_null (local.get $list)))
        (then
          (local.set $sum (i32.add (local.get $sum) (struct.get $list $value (local.get $list))))
          (local.set $list (struct.get $list $next (local.get $list)))
          (br $add))))
    (local.get $sum))

  ;; An array of n numbers, all x: its last one. Long ones take fuel for each.
  (func (export "array") (param $n i32) (param $x i64) (result i64)
    (local $numbers (ref $numbers))
    (local.set $numbers (array.new $numbers (local.get $x) (local.get $n)))
    (array.get $numbers (local.get $numbers) (i32.sub (array.len (local.get $numbers)) (i32.const 1))))

  (func (export "array_get") (param $n i32) (param $at i32) (result i64)
    (array.get $numbers (array.new_default $numbers (local.get $n)) (local.get $at)))

  (func (export "cast") (param $x i32) (result i32)
    (struct.get $point $x (ref.cast (ref $point)
      (if (result anyref) (local.get $x)
        (then (struct.new $point (local.get $x) (i32.const 0)))
        (else (ref.i31 (i32.const 7)))))))

  ;; State in globals and tables.
  (func (export "keep") (param i32)
    (global.set $kept (struct.new $point (local.get 0) (i32.const 1))))
  (func (export "kept") (result i32) (struct.get $point $x (global.get $kept)))
  (func (export "forget") (global.set $kept (ref.null $point)))
  (func (export "keep_any") (param i32) (global.set $any (ref.i31 (local.get 0))))
  (func (export "forget_any") (global.set $any (ref.null any)))
  (func (export "keep_outside") (param i32)
    (global.set $outside (extern.convert_any (struct.new $point (local.get 0) (i32.const 1)))))
  (func (export "forget_outside") (global.set $outside (ref.null extern)))
  (func (export "keep_entry") (param i32)
    (table.set $entries (i32.const 1) (struct.new $point (local.get 0) (i32.const 1))))
  (func (export "forget_entry") (table.set $entries (i32.const 1) (ref.null $point)))

  ;; Typed references to functions: 1 is double, 2 the import, 3 next.
  (func $way (param $which i32) (result (ref $unary))
    (if (i32.eq (local.get $which) (i32.const 1)) (then (return (ref.func $double))))
    (if (i32.eq (local.get $which) (i32.const 2)) (then (return (ref.func $ask))))
    (ref.func $next))
  (func (export "choose") (param i32)
    (global.set $chosen (call $way (local.get 0)))
    (global.set $always (call $way (local.get 0))))
  (func (export "chosen") (param i32) (result i32) (call_ref $unary (local.get 0) (global.get $chosen)))
  (func (export "always") (param i32) (result i32) (call_ref $unary (local.get 0) (global.get $always)))
  (func (export "add_way") (param i32) (result i32)
    (table.grow $ways (call $way (local.get 0)) (i32.const 1)))
  (func (export "set_way") (param $at i32) (param $which i32)
    (table.set $ways (local.get $at) (call $way (local.get $which))))
  (func (export "go") (param $at i32) (param $x i32) (result i32)
    (call_ref $unary (local.get $x) (table.get $ways (local.get $at))))

  ;; What cannot cross the border.
  (func (export "take") (param (ref null $point)))
  (func (export "give") (result anyref) (ref.i31 (i32.const 1)))
  (func (export "take_some") (param (ref $unary)))
  (func (export "null_way") (param (ref null $unary)) (result i32) (ref.is_null (local.get 0)))
  (func (export "give_way") (param i32) (result (ref null $unary)) (call $way (local.get 0)))

  ;; n circles of two, which nobody refers to afterwards; and one list without end.
  (func (export "circles") (param $n i32)
    (local $one (ref $circle)) (local $two (ref $circle))
    (loop $more
      (local.set $one (struct.new_default $circle))
      (local.set $two (struct.new $circle (local.get $one)))
      (struct.set $circle $other (local.get $one) (local.get $two))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $more (local.get $n))))
  ;; An object that refers to itself and to an array of n numbers.
  (func (export "large_circle") (param $n i32)
    (local $large (ref $large))
    (local.set $large (struct.new $large (ref.null $large) (array.new_default $numbers (local.get $n))))
    (struct.set $large $itself (local.get $large) (local.get $large)))
  (func (export "fill_heap") (param $n i32)
    (local $list (ref null $list))
    (loop $more
      (local.set $list (struct.new $list (local.get $list) (local.get $n)))
      (br $more))))
