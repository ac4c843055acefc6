;; A process of AO's legacynet: `handle' takes a message and its environment as texts on the stack and answers with both, and
;; with how many messages there have been. What it does besides follows from the first "!" in the message:
;;   !e an error in the answer   !f an answer that is not ok   !t a trap   !x an exit   !n no JSON   !m memory that is said to
;;   lack   !g more memory   !l an endless loop   !p a message to be sent, as a patch
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "env" "emscripten_get_now" (func $now (result f64)))
  (memory (export "memory") 3)
  (global $stack (mut i32) (i32.const 196608))
  (global $out (mut i32) (i32.const 0))
  (data (i32.const 64) "{\"ok\":true,\"response\":{\"Output\":{\"count\":\00")
  (data (i32.const 128) ",\"clock\":\00")
  (data (i32.const 160) ",\"message\":\00")
  (data (i32.const 192) ",\"environment\":\00")
  (data (i32.const 224) "},\"Messages\":[]}}\00")
  (data (i32.const 256) "},\"Error\":\"wrong\",\"Messages\":[1]}}\00")
  (data (i32.const 320) "{\"response\":\"thrown\",\"ok\":false}\00")
  (data (i32.const 384) "{\"ok\":true\00")
  (data (i32.const 416) "{\"ok\":true,\"response\":{\"Output\":{\"data\":{\"output\":\"x: not enough memory for buffer allocation\"}}}}\00")
  (data (i32.const 576) "},\"Messages\":[{\"Target\":\"T\",\"Data\":\"d\",\"Tags\":[{\"name\":\"device\",\"value\":\"patch@1.0\"},{\"name\":\"balance\",\"value\":\"7\"}]}]}}\00")

  (func (export "emscripten_stack_get_current") (result i32) (global.get $stack))
  (func (export "_emscripten_stack_restore") (param i32) (global.set $stack (local.get 0)))
  (func (export "_emscripten_stack_alloc") (param i32) (result i32)
    (global.set $stack (i32.and (i32.sub (global.get $stack) (local.get 0)) (i32.const -16)))
    (global.get $stack))

  ;; Appends a text to the answer.
  (func $say (param $from i32)
    (loop $next
      (i32.store8 (global.get $out) (i32.load8_u (local.get $from)))
      (if (i32.load8_u (local.get $from))
        (then
          (global.set $out (i32.add (global.get $out) (i32.const 1)))
          (local.set $from (i32.add (local.get $from) (i32.const 1)))
          (br $next)))))

  ;; Appends a number.
  (func $count (param $n i32)
    (if (i32.ge_u (local.get $n) (i32.const 10))
      (then (call $count (i32.div_u (local.get $n) (i32.const 10)))))
    (i32.store16 (global.get $out) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))

  ;; The letter behind the first "!", or 0.
  (func $wish (param $at i32) (result i32)
    (loop $next
      (if (i32.eqz (i32.load8_u (local.get $at))) (then (return (i32.const 0))))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33))
        (then (return (i32.load8_u offset=1 (local.get $at)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  (func (export "handle") (param $message i32) (param $environment i32) (result i32)
    (local $wish i32) (local $end i32)
    (local.set $wish (call $wish (local.get $message)))
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (if (i32.eq (local.get $wish) (i32.const 116)) (then (unreachable)))
    (if (i32.eq (local.get $wish) (i32.const 120)) (then (call $exit (i32.const 3))))
    (if (i32.eq (local.get $wish) (i32.const 108)) (then (loop $for_ever (br $for_ever))))
    (if (i32.eq (local.get $wish) (i32.const 102)) (then (return (i32.const 320))))
    (if (i32.eq (local.get $wish) (i32.const 110)) (then (return (i32.const 384))))
    (if (i32.eq (local.get $wish) (i32.const 109)) (then (return (i32.const 416))))
    (if (i32.eq (local.get $wish) (i32.const 103)) (then (drop (memory.grow (i32.const 1)))))
    (global.set $out (i32.const 4096))
    (call $say (i32.const 64))
    (call $count (i32.load (i32.const 16)))
    (call $say (i32.const 128))
    (call $count (i32.trunc_f64_u (call $now)))
    (call $say (i32.const 160))
    (call $say (local.get $message))
    (call $say (i32.const 192))
    (call $say (local.get $environment))
    (local.set $end (i32.const 224))
    (if (i32.eq (local.get $wish) (i32.const 101)) (then (local.set $end (i32.const 256))))
    (if (i32.eq (local.get $wish) (i32.const 112)) (then (local.set $end (i32.const 576))))
    (call $say (local.get $end))
    (i32.const 4096)))
