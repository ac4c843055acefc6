//! Vectors that report where there is no room for them. How much goes into one is for the input to say, and an ordinary
//! vector would end the process.

use std::collections::TryReserveError;

/// An empty vector for so many items.
///
/// # Errors
/// Where there is no room for them.
pub fn empty<T>(items: usize) -> Result<Vec<T>, TryReserveError> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(items)?;
    Ok(vec)
}

/// So many zeros.
///
/// # Errors
/// Where there is no room for them.
pub fn zeros(bytes: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut vec = empty(bytes)?;
    vec.resize(bytes, 0);
    Ok(vec)
}

/// Adds an item at the end.
///
/// # Errors
/// Where there is no room for it; the vector is as it was then.
pub fn push<T>(vec: &mut Vec<T>, item: T) -> Result<(), TryReserveError> {
    vec.try_reserve(1)?;
    vec.push(item);
    Ok(())
}

/// Adds bytes at the end.
///
/// # Errors
/// Where there is no room for them; the vector is as it was then.
pub fn append(vec: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TryReserveError> {
    vec.try_reserve(bytes.len())?;
    vec.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_can_be_is_an_error() {
        assert!(empty::<u8>(isize::MAX as usize).is_err());
        assert!(zeros(isize::MAX as usize).is_err());
        let mut vec = vec![1];
        push(&mut vec, 2).unwrap();
        append(&mut vec, &[3, 4]).unwrap();
        assert_eq!(vec, [1, 2, 3, 4]);
        assert_eq!(zeros(3), Ok(vec![0; 3]));
    }
}
