//! Properties of the lowering of random functions.

use std::borrow::Cow;

use hb_wasm64_rewrite::lower::lower;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generator::{Dialect, generate};
use crate::support::{lowered, validate};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn legacy_functions_lower_to_valid_ones(tape in vec(any::<u16>(), 0..800)) {
        let module = lowered(&generate(&tape, Dialect::Legacy));
        prop_assert!(matches!(lower(&module), Ok(Cow::Borrowed(_))), "nothing is left to lower");
    }

    #[test]
    fn mixed_functions_lower_to_valid_ones(tape in vec(any::<u16>(), 0..800)) {
        lowered(&generate(&tape, Dialect::Mixed));
    }

    #[test]
    fn functions_without_legacy_instructions_stay(tape in vec(any::<u16>(), 0..800)) {
        let module = generate(&tape, Dialect::Final);
        prop_assert!(validate(&module, false).is_ok());
        prop_assert!(matches!(lower(&module), Ok(Cow::Borrowed(same)) if same == module));
    }
}
