;; A counter in an object that a constant holds: state that nothing outside reaches.
(module $constant_object
  (type $counter (struct (field (mut i32))))
  (global $counter (ref $counter) (struct.new $counter (i32.const 0)))
  (func (export "count") (result i32)
    (struct.set $counter 0 (global.get $counter)
      (i32.add (struct.get $counter 0 (global.get $counter)) (i32.const 1)))
    (struct.get $counter 0 (global.get $counter))))
