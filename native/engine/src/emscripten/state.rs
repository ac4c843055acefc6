//! What the host keeps for an instance between its calls, and that as bytes.

use super::exceptions::Exceptions;
use super::files::Files;

/// A page of a snapshot: what starts at a multiple of it stays apart from what changes before it.
const PAGE: usize = 4096;

/// Memories of a snapshot are multiples of this.
const UNIT: usize = 65_536;

/// Three numbers: the bytes of the files, the bytes of the exceptions, and the upper half of a result.
const HEADER: usize = 20;

/// State of the host that belongs to an instance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) files: Files,
    pub(crate) exceptions: Exceptions,
    /// The upper half of a 64-bit result, for images that keep it outside.
    pub(crate) temp_ret: i32,
}

impl Default for State {
    fn default() -> State {
        State { files: Files::new(), exceptions: Exceptions::default(), temp_ret: 0 }
    }
}

impl State {
    /// The state as the bytes of a memory: none where it is that of an instance that has just been made. Equal states
    /// give equal bytes.
    ///
    /// ```text
    ///    0  u64  F, the bytes of the file system
    ///    8  u64  E, the bytes of the exceptions
    ///   16  i32  the upper half of a result
    /// 4096       the file system, F bytes
    ///    …       the exceptions, E bytes, at the next multiple of 4096
    /// ```
    ///
    /// All of it little endian, with zeros in between and up to a multiple of 64 KiB.
    pub(crate) fn encode(&self) -> Vec<u8> {
        if *self == State::default() {
            return Vec::new();
        }
        let (files, exceptions) = (self.files.encode(), self.exceptions.encode());
        let mut bytes = Vec::with_capacity((2 * PAGE + files.len() + exceptions.len()).next_multiple_of(UNIT));
        bytes.extend_from_slice(&(files.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(exceptions.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.temp_ret.to_le_bytes());
        for part in [files, exceptions] {
            bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
            bytes.extend_from_slice(&part);
        }
        bytes.resize(bytes.len().next_multiple_of(UNIT), 0);
        bytes
    }

    /// The state that [`encode`](Self::encode) has made these bytes of.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn decode(bytes: &[u8]) -> Result<State, &'static str> {
        const CUT: &str = "the state of the host is cut off";
        if bytes.is_empty() {
            return Ok(State::default());
        }
        let number = |at: usize| -> Result<usize, &'static str> {
            let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).ok_or(CUT)?;
            usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| CUT)
        };
        let part = |start: usize, size: usize| start.checked_add(size).and_then(|end| bytes.get(start..end)).ok_or(CUT);
        let (files, exceptions) = (number(0)?, number(8)?);
        let temp_ret = bytes.get(16..HEADER).and_then(|bytes| bytes.try_into().ok()).ok_or(CUT)?;
        let files = part(PAGE, files)?;
        let start = (PAGE + files.len()).next_multiple_of(PAGE);
        let exceptions = part(start, exceptions)?;
        if (start + exceptions.len()).next_multiple_of(UNIT) != bytes.len() {
            return Err("the state of the host is of another size");
        }
        let state = State {
            files: Files::decode(files)?,
            exceptions: Exceptions::decode(exceptions)?,
            temp_ret: i32::from_le_bytes(temp_ret),
        };
        // One state has one encoding: whatever else these bytes say would be lost.
        if state.encode() == bytes { Ok(state) } else { Err("the state of the host is not as it is written") }
    }
}
