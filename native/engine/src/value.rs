//! Values at the border of a guest: their types, the signatures made of them, and what a caller may pass for each.

use std::fmt;
use wasmtime::{AsContextMut, ExternRef, FuncType, HeapType, V128, Val};

/// The types that can cross the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValType {
    /// 32-bit integer, `i`.
    I32,
    /// 64-bit integer, `I`.
    I64,
    /// 32-bit float, `f`.
    F32,
    /// 64-bit float, `F`.
    F64,
    /// 128-bit vector, `v`.
    V128,
    /// Reference to a host value, `e`.
    ExternRef,
    /// Reference to a function, `u`.
    FuncRef,
    /// Reference to an exception, `x`.
    ExnRef,
}

impl ValType {
    fn letter(self) -> char {
        match self {
            ValType::I32 => 'i',
            ValType::I64 => 'I',
            ValType::F32 => 'f',
            ValType::F64 => 'F',
            ValType::V128 => 'v',
            ValType::ExternRef => 'e',
            ValType::FuncRef => 'u',
            ValType::ExnRef => 'x',
        }
    }

    fn of(ty: &wasmtime::ValType) -> Option<ValType> {
        Some(match ty {
            wasmtime::ValType::I32 => ValType::I32,
            wasmtime::ValType::I64 => ValType::I64,
            wasmtime::ValType::F32 => ValType::F32,
            wasmtime::ValType::F64 => ValType::F64,
            wasmtime::ValType::V128 => ValType::V128,
            // Nothing that a caller could pass is certain to be no null.
            wasmtime::ValType::Ref(reference) if !reference.is_nullable() => return None,
            wasmtime::ValType::Ref(reference) => match reference.heap_type() {
                HeapType::Extern => ValType::ExternRef,
                HeapType::Func | HeapType::ConcreteFunc(_) | HeapType::NoFunc => ValType::FuncRef,
                HeapType::Exn | HeapType::NoExn | HeapType::ConcreteExn(_) => ValType::ExnRef,
                _ => return None,
            },
        })
    }

    /// The value that stands for nothing: zero, or the null reference.
    pub fn zero(self) -> Value {
        match self {
            ValType::I32 => Value::I32(0),
            ValType::I64 => Value::I64(0),
            ValType::F32 => Value::F32(0),
            ValType::F64 => Value::F64(0),
            ValType::V128 => Value::V128([0; 16]),
            ValType::ExternRef | ValType::FuncRef | ValType::ExnRef => Value::Null(self),
        }
    }
}

/// The type of a function, written `(params)results`: `(iI)F`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Types of the parameters.
    pub params: Box<[ValType]>,
    /// Types of the results.
    pub results: Box<[ValType]>,
}

impl Signature {
    /// The signature of a function type, or `None` where a type in it cannot cross the border.
    pub fn of(ty: &FuncType) -> Option<Signature> {
        Some(Signature {
            params: ty.params().map(|ty| ValType::of(&ty)).collect::<Option<_>>()?,
            results: ty.results().map(|ty| ValType::of(&ty)).collect::<Option<_>>()?,
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = |types: &[ValType]| types.iter().map(|ty| ty.letter()).collect::<String>();
        write!(out, "({}){}", letters(&self.params), letters(&self.results))
    }
}

/// A value that has a type. Floats are bits, so that a NaN arrives as it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector, little endian.
    V128([u8; 16]),
    /// The number that a host reference stands for.
    Extern(u32),
    /// The null reference of a reference type.
    Null(ValType),
    /// A reference that only the guest can use.
    Opaque(ValType),
}

/// What a caller passes, before it is known which type is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// Any integer of at most 128 bits.
    Int(i128),
    /// A larger integer, as the floats that are nearest to it.
    Huge(f32, f64),
    /// A finite float.
    Float(f64),
    /// The canonical NaN.
    Nan,
    /// Positive infinity.
    Infinity,
    /// Negative infinity.
    NegInfinity,
    /// The bits of a NaN.
    NanBits(u64),
    /// Sixteen bytes, little endian.
    V128([u8; 16]),
    /// The null reference.
    Null,
    /// Something that is no value of any type.
    Other,
}

const F32_CANONICAL_NAN: u32 = 0x7fc0_0000;
const F64_CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;

impl Arg {
    /// An integer of any size, from its sign and the bytes of its magnitude, least significant first.
    pub fn huge(negative: bool, magnitude: &[u8]) -> Arg {
        let length = magnitude.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let (low, high) = magnitude[..length].split_at(length.saturating_sub(16));
        let mut top = high.iter().rev().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        // What lies below decides only between two halves: one bit stands for all of it.
        top |= u128::from(low.iter().any(|byte| *byte != 0));
        let Ok(exponent) = i32::try_from(low.len() * 8) else { return Arg::Other };
        let sign = if negative { -1.0 } else { 1.0 };
        let scale = 2_f64.powi(exponent);
        let double = sign * (top as f64) * scale;
        let single = (sign * f64::from(top as f32) * scale) as f32;
        if double.is_finite() { Arg::Huge(single, double) } else { Arg::Other }
    }

    /// The argument as a value of type `ty`, or `None` where it is none.
    ///
    /// Integers become floats by rounding to the nearest; the upper half of the unsigned range wraps.
    pub fn coerce(self, ty: ValType) -> Option<Value> {
        match (ty, self) {
            (ValType::I32, Arg::Int(n)) => {
                i32::try_from(n).ok().or_else(|| u32::try_from(n).ok().map(u32::cast_signed)).map(Value::I32)
            }
            (ValType::I64, Arg::Int(n)) => {
                i64::try_from(n).ok().or_else(|| u64::try_from(n).ok().map(u64::cast_signed)).map(Value::I64)
            }
            (ValType::F32, arg) => arg.f32().map(Value::F32),
            (ValType::F64, arg) => arg.f64().map(Value::F64),
            (ValType::V128, Arg::V128(bytes)) => Some(Value::V128(bytes)),
            (ValType::ExternRef, Arg::Int(n)) => u32::try_from(n).ok().map(Value::Extern),
            (ValType::ExternRef | ValType::FuncRef | ValType::ExnRef, Arg::Null) => Some(Value::Null(ty)),
            _ => None,
        }
    }

    fn f32(self) -> Option<u32> {
        Some(match self {
            // One rounding, straight from the integer: by way of f64 there would be two.
            Arg::Int(n) => (n as f32).to_bits(),
            Arg::Huge(single, _) => Some(single).filter(|single| single.is_finite())?.to_bits(),
            Arg::Float(x) => (x as f32).to_bits(),
            Arg::Nan => F32_CANONICAL_NAN,
            Arg::Infinity => f32::INFINITY.to_bits(),
            Arg::NegInfinity => f32::NEG_INFINITY.to_bits(),
            Arg::NanBits(bits) => u32::try_from(bits).ok().filter(|bits| f32::from_bits(*bits).is_nan())?,
            Arg::V128(_) | Arg::Null | Arg::Other => return None,
        })
    }

    fn f64(self) -> Option<u64> {
        Some(match self {
            Arg::Int(n) => (n as f64).to_bits(),
            Arg::Huge(_, double) => double.to_bits(),
            Arg::Float(x) => x.to_bits(),
            Arg::Nan => F64_CANONICAL_NAN,
            Arg::Infinity => f64::INFINITY.to_bits(),
            Arg::NegInfinity => f64::NEG_INFINITY.to_bits(),
            Arg::NanBits(bits) => Some(bits).filter(|bits| f64::from_bits(*bits).is_nan())?,
            Arg::V128(_) | Arg::Null | Arg::Other => return None,
        })
    }
}

/// How a float shows to a caller that has no NaN and no infinity of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Float {
    /// A number.
    Finite(f64),
    /// The canonical NaN.
    Nan,
    /// Any other NaN, by its bits in the width of its type.
    NanBits(u64),
    /// Positive infinity.
    Infinity,
    /// Negative infinity.
    NegInfinity,
}

impl Float {
    /// The view of the bits of an f32.
    pub fn from_f32(bits: u32) -> Float {
        let x = f32::from_bits(bits);
        if bits == F32_CANONICAL_NAN {
            Float::Nan
        } else if x.is_nan() {
            Float::NanBits(bits.into())
        } else {
            Float::number(x.into())
        }
    }

    /// The view of the bits of an f64.
    pub fn from_f64(bits: u64) -> Float {
        let x = f64::from_bits(bits);
        if bits == F64_CANONICAL_NAN {
            Float::Nan
        } else if x.is_nan() {
            Float::NanBits(bits)
        } else {
            Float::number(x)
        }
    }

    fn number(x: f64) -> Float {
        if x == f64::INFINITY {
            Float::Infinity
        } else if x == f64::NEG_INFINITY {
            Float::NegInfinity
        } else {
            Float::Finite(x)
        }
    }
}

/// Checks `args` against `types`, one for one.
///
/// # Errors
/// The position, counted from 1, of the first argument that does not fit, is missing or is one too many.
pub fn coerce_all(args: &[Arg], types: &[ValType]) -> Result<Vec<Value>, usize> {
    let values = coerce_some(args, types)?;
    if args.len() > types.len() { Err(types.len() + 1) } else { Ok(values) }
}

/// Like [`coerce_all`], but what is left over of `args` is dropped.
///
/// # Errors
/// The position, counted from 1, of the first argument that does not fit or is missing.
pub fn coerce_some(args: &[Arg], types: &[ValType]) -> Result<Vec<Value>, usize> {
    let value = |(index, ty): (usize, &ValType)| args.get(index).and_then(|arg| arg.coerce(*ty)).ok_or(index + 1);
    types.iter().enumerate().map(value).collect()
}

/// Turns a checked value into one of the store. Host references are allocated there.
pub(crate) async fn to_val(store: impl AsContextMut<Data: Send>, value: Value) -> wasmtime::Result<Val> {
    Ok(match value {
        Value::I32(n) => Val::I32(n),
        Value::I64(n) => Val::I64(n),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::V128(bytes) => Val::V128(V128::from(u128::from_le_bytes(bytes))),
        Value::Extern(n) => Val::ExternRef(Some(ExternRef::new_async(store, n).await?)),
        Value::Null(ValType::FuncRef) | Value::Opaque(ValType::FuncRef) => Val::FuncRef(None),
        Value::Null(ValType::ExnRef) | Value::Opaque(ValType::ExnRef) => Val::ExnRef(None),
        Value::Null(_) | Value::Opaque(_) => Val::ExternRef(None),
    })
}

/// Turns a value of the store into one that can leave it.
pub(crate) fn from_val(mut store: impl AsContextMut, val: &Val) -> Value {
    match val {
        Val::I32(n) => Value::I32(*n),
        Val::I64(n) => Value::I64(*n),
        Val::F32(bits) => Value::F32(*bits),
        Val::F64(bits) => Value::F64(*bits),
        Val::V128(vector) => Value::V128(vector.as_u128().to_le_bytes()),
        Val::ExternRef(None) => Value::Null(ValType::ExternRef),
        Val::ExternRef(Some(reference)) => {
            let data = reference.data(store.as_context_mut()).ok().flatten();
            match data.and_then(|data| data.downcast_ref::<u32>()) {
                Some(n) => Value::Extern(*n),
                None => Value::Opaque(ValType::ExternRef),
            }
        }
        Val::FuncRef(None) => Value::Null(ValType::FuncRef),
        Val::FuncRef(Some(_)) => Value::Opaque(ValType::FuncRef),
        Val::ExnRef(None) => Value::Null(ValType::ExnRef),
        Val::ExnRef(Some(_)) => Value::Opaque(ValType::ExnRef),
        // The GC proposal is off, so that no other reference exists.
        Val::AnyRef(_) | Val::ContRef(_) => Value::Opaque(ValType::ExternRef),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_wrap_in_the_upper_half_and_are_refused_beyond() {
        assert_eq!(Arg::Int(0xffff_ffff).coerce(ValType::I32), Some(Value::I32(-1)));
        assert_eq!(Arg::Int(1 << 32).coerce(ValType::I32), None);
        assert_eq!(Arg::Int(-(1 << 31) - 1).coerce(ValType::I32), None);
        assert_eq!(Arg::Int(u64::MAX.into()).coerce(ValType::I64), Some(Value::I64(-1)));
        assert_eq!(Arg::Int(1 << 64).coerce(ValType::I64), None);
    }

    #[test]
    fn an_integer_is_rounded_once_on_its_way_to_a_float() {
        // By way of f64 this would come out one step of an f32 lower.
        let n = (1_i128 << 60) + (1 << 36) + 1;
        let expected = ((1_u64 << 60) + (1 << 37)) as f32;
        assert_eq!(Arg::Int(n).coerce(ValType::F32), Some(Value::F32(expected.to_bits())));
    }

    #[test]
    fn integers_of_any_size_are_rounded_to_the_nearest_float_there_is() {
        let mut magnitude = [0_u8; 130];
        (magnitude[0], magnitude[40]) = (1, 0x80);
        let Arg::Huge(single, double) = Arg::huge(true, &magnitude) else { panic!() };
        assert_eq!((single, double), (f32::NEG_INFINITY, -(2_f64.powi(327))));
        // Halfway between two doubles, and a last bit far below that decides.
        let mut magnitude = [0_u8; 17];
        (magnitude[0], magnitude[9], magnitude[16]) = (1, 0x08, 1);
        let expected = 2_f64.powi(128) + 2_f64.powi(76);
        assert_eq!(Arg::huge(false, &magnitude).coerce(ValType::F64), Some(Value::F64(expected.to_bits())));
        assert_eq!(Arg::huge(false, &[0xff; 128]), Arg::Other);
        assert_eq!(Arg::huge(false, &magnitude).coerce(ValType::I64), None);
        assert_eq!(Arg::huge(false, &magnitude).coerce(ValType::F32), None);
    }

    #[test]
    fn a_nan_payload_must_be_a_nan_of_the_width_wanted() {
        assert_eq!(Arg::NanBits(0x7fc0_0001).coerce(ValType::F32), Some(Value::F32(0x7fc0_0001)));
        assert_eq!(Arg::NanBits(0x3f80_0000).coerce(ValType::F32), None);
        assert_eq!(Arg::NanBits(0x7ff8_0000_0000_0001).coerce(ValType::F32), None);
        assert_eq!(Arg::NanBits(0).coerce(ValType::F64), None);
    }

    #[test]
    fn a_wrong_count_names_the_first_position_that_is_wrong() {
        let types = [ValType::I32, ValType::F64];
        assert_eq!(coerce_all(&[Arg::Int(1)], &types), Err(2));
        assert_eq!(coerce_all(&[Arg::Int(1), Arg::Int(2), Arg::Int(3)], &types), Err(3));
        assert_eq!(coerce_all(&[Arg::Float(1.0), Arg::Int(2)], &types), Err(1));
        assert!(coerce_some(&[Arg::Int(1), Arg::Int(2), Arg::Other], &types).is_ok());
    }

    proptest! {
        #[test]
        fn every_f64_comes_back_as_it_went(bits in any::<u64>()) {
            let arg = match Float::from_f64(bits) {
                Float::Finite(x) => Arg::Float(x),
                Float::Nan => Arg::Nan,
                Float::NanBits(bits) => Arg::NanBits(bits),
                Float::Infinity => Arg::Infinity,
                Float::NegInfinity => Arg::NegInfinity,
            };
            prop_assert_eq!(arg.coerce(ValType::F64), Some(Value::F64(bits)));
        }

        #[test]
        fn every_f32_comes_back_as_it_went(bits in any::<u32>()) {
            let arg = match Float::from_f32(bits) {
                Float::Finite(x) => Arg::Float(x),
                Float::Nan => Arg::Nan,
                Float::NanBits(bits) => Arg::NanBits(bits),
                Float::Infinity => Arg::Infinity,
                Float::NegInfinity => Arg::NegInfinity,
            };
            prop_assert_eq!(arg.coerce(ValType::F32), Some(Value::F32(bits)));
        }
    }
}
