//! What a program is given as it starts.

/// What a program is called, and its NUL.
pub(crate) const PROGRAM: &[u8] = b"./this.program\0";

/// What of a program runs when it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Initialize {
    /// Nothing.
    Nothing,
    /// The constructors of its global objects, as AO's loader does.
    #[default]
    Constructors,
    /// These, and then `main`.
    Main,
}
