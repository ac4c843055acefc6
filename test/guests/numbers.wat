;; Values of every type across the border, both ways.
;; Each id_* gives its argument back unchanged, so that a test sees exactly
;; what the host's conversion did to it.
(module $numbers
  ;; A global the guest and the host can both change.
  (global $counter (export "counter") (mut i64) (i64.const 7))
  ;; A global nobody can change.
  (global $answer (export "answer") i32 (i32.const 42))

  (func $id_i32 (export "id_i32") (param i32) (result i32) local.get 0)
  (func $id_i64 (export "id_i64") (param i64) (result i64) local.get 0)
  (func $id_f32 (export "id_f32") (param f32) (result f32) local.get 0)
  (func $id_f64 (export "id_f64") (param f64) (result f64) local.get 0)
  (func $id_v128 (export "id_v128") (param v128) (result v128) local.get 0)
  (func $id_externref (export "id_externref") (param externref) (result externref) local.get 0)
  (func $id_funcref (export "id_funcref") (param funcref) (result funcref) local.get 0)

  ;; Whether a reference arrived as null.
  (func $is_null_extern (export "is_null_extern") (param externref) (result i32)
    local.get 0
    ref.is_null)
  ;; References the guest makes itself.
  (func $null_extern (export "null_extern") (result externref) ref.null extern)
  (func $null_func (export "null_func") (result funcref) ref.null func)
  (func $some_func (export "some_func") (result funcref) ref.func $fac)

  ;; The bit patterns of floats, to check a NaN without going through a float
  ;; in the host.
  (func $bits_f32 (export "bits_f32") (param f32) (result i32) local.get 0 i32.reinterpret_f32)
  (func $bits_f64 (export "bits_f64") (param f64) (result i64) local.get 0 i64.reinterpret_f64)
  (func $from_bits_f32 (export "from_bits_f32") (param i32) (result f32) local.get 0 f32.reinterpret_i32)
  (func $from_bits_f64 (export "from_bits_f64") (param i64) (result f64) local.get 0 f64.reinterpret_i64)

  ;; Integers wrap.
  (func $add_i32 (export "add_i32") (param i32 i32) (result i32)
    local.get 0 local.get 1 i32.add)
  (func $add_i64 (export "add_i64") (param i64 i64) (result i64)
    local.get 0 local.get 1 i64.add)
  (func $add_f32 (export "add_f32") (param f32 f32) (result f32)
    local.get 0 local.get 1 f32.add)
  (func $add_f64 (export "add_f64") (param f64 f64) (result f64)
    local.get 0 local.get 1 f64.add)
  ;; Four lanes of 32 bits.
  (func $add_i32x4 (export "add_i32x4") (param v128 v128) (result v128)
    local.get 0 local.get 1 i32x4.add)

  ;; All four number types, handed back in another order: (1,2,3,4) -> (2,4,1,3).
  (func $mixed (export "mixed") (param i32 i64 f32 f64) (result i64 f64 i32 f32)
    local.get 1 local.get 3 local.get 0 local.get 2)
  (func $two (export "two") (result i32 i32) i32.const 1 i32.const 2)

  (func $nan_f32 (export "nan_f32") (result f32) f32.const nan)
  (func $nan_f64 (export "nan_f64") (result f64) f64.const nan)
  ;; Bits 0x7fa12345 and 0x7ff4000000012345: signalling NaNs with a payload.
  (func $nan_payload_f32 (export "nan_payload_f32") (result f32) f32.const nan:0x212345)
  (func $nan_payload_f64 (export "nan_payload_f64") (result f64) f64.const nan:0x4000000012345)
  (func $nan_negative_f32 (export "nan_negative_f32") (result f32) f32.const -nan)
  (func $nan_negative_f64 (export "nan_negative_f64") (result f64) f64.const -nan)
  (func $inf_f32 (export "inf_f32") (result f32) f32.const inf)
  (func $inf_f64 (export "inf_f64") (result f64) f64.const inf)
  (func $minus_inf_f32 (export "minus_inf_f32") (result f32) f32.const -inf)
  (func $minus_inf_f64 (export "minus_inf_f64") (result f64) f64.const -inf)
  (func $minus_zero_f64 (export "minus_zero_f64") (result f64) f64.const -0)
  (func $max_i64 (export "max_i64") (result i64) i64.const 0x7fffffffffffffff)
  (func $min_i64 (export "min_i64") (result i64) i64.const -0x8000000000000000)
  ;; Bytes 00 01 02 ... 0f in memory order.
  (func $bytes_v128 (export "bytes_v128") (result v128)
    v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
  ;; 0.0 / 0.0: which bits come out is up to the machine unless the engine
  ;; makes NaNs canonical.
  (func $zero_div (export "zero_div") (param f64) (result f64)
    local.get 0 local.get 0 f64.div)

  ;; fac(5.0) = 120.0
  (func $fac (export "fac") (param $n f64) (result f64)
    local.get $n
    f64.const 1
    f64.lt
    if (result f64)
      f64.const 1
    else
      local.get $n
      local.get $n
      f64.const 1
      f64.sub
      call $fac
      f64.mul
    end)

  (func $nop (export "nop"))

  ;; Adds to the exported global and returns the new value.
  (func $count (export "count") (param i64) (result i64)
    global.get $counter
    local.get 0
    i64.add
    global.set $counter
    global.get $counter))
