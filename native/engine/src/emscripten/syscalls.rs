use super::abi::Function;
pub(crate) const FUNCTIONS: &[Function] = &[];
pub(crate) fn is_of_descriptor(_: &str) -> bool {
    false
}
