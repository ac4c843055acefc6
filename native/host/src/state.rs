//! What the host keeps for an instance between its calls, and that as bytes.

use crate::encoding::{Counted, DecodeError, Expected, Sink};
use crate::exceptions::{Exceptions, Mark};
use crate::files::Files;
use crate::limits::{INPUT_BYTES, PAGE, STATE_BYTES, WASM_PAGE};
use crate::program::{Given, Program};
use crate::random::Random;
use crate::runtime::Runtime;
use crate::stream::Stream;
use std::sync::Arc;

/// Memories of a snapshot are multiples of this.
const UNIT: usize = WASM_PAGE as usize;

/// The bytes of the files, the bytes of the exceptions, the upper half of a result, and the bytes of the program.
const HEADER: usize = 32;

/// State of the host that belongs to an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    runtime: Runtime,
    pub(crate) files: Files,
    pub(crate) exceptions: Exceptions,
    pub(crate) program: Program,
    /// The upper half of a 64-bit result, for images that keep it outside.
    pub(crate) temp_ret: i32,
}

#[cfg(test)]
impl Default for State {
    fn default() -> State {
        State::new(Runtime::Emscripten)
    }
}

impl State {
    /// That of an instance that has just been made, of an image of a runtime.
    pub fn new(runtime: Runtime) -> State {
        State::given(runtime, Given::default())
    }

    /// The same for a program that is given something, which has been [checked](Given::check).
    pub fn given(runtime: Runtime, given: Given) -> State {
        let mut files = Files::new();
        let program = Program::new(runtime, given, &mut files);
        State { runtime, files, exceptions: Exceptions::default(), program, temp_ret: 0 }
    }

    /// The runtime that the image was built for.
    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Whether it is that of an instance that has just been made, and given nothing.
    fn is_new(&self) -> bool {
        *self == State::new(self.runtime)
    }

    /// What the guest has written to standard output and to error output since that was last cleared: of each the first
    /// MiB. It is not part of the state.
    pub fn output(&self) -> (&[u8], &[u8]) {
        self.files.output()
    }

    /// Forgets what was written so far.
    pub fn clear_output(&mut self) {
        self.files.clear_output();
    }

    /// The address of the C++ exception that nobody has caught; 0 where there is none.
    pub fn uncaught(&self) -> u64 {
        self.exceptions.last
    }

    /// Has what the program prints go to a stream as well, or to none; and where it went before. It is not part of the state.
    pub fn stream_to(&mut self, stream: Option<Arc<Stream>>) -> Option<Arc<Stream>> {
        self.files.stream_to(stream)
    }

    /// Whether what the program prints goes to a stream.
    pub fn is_streamed(&self) -> bool {
        self.files.stream().is_some()
    }

    /// Gives the program these random bytes; and those that it had before.
    pub fn replace_random(&mut self, random: Option<Random>) -> Option<Random> {
        std::mem::replace(&mut self.program.random, random)
    }

    /// Which exceptions are thrown and caught before a call.
    pub fn mark(&self) -> Mark {
        self.exceptions.mark()
    }

    /// Forgets the exceptions of a call that ended in the middle.
    pub fn back_to(&mut self, mark: Mark) {
        self.exceptions.back_to(mark);
    }

    /// A copy.
    ///
    /// # Errors
    /// [`DecodeError::NoRoom`].
    pub fn copy(&self) -> Result<State, DecodeError> {
        let files = self.files.copy()?;
        let (exceptions, program) = (self.exceptions.copy()?, self.program.copy()?);
        Ok(State { runtime: self.runtime, files, exceptions, program, temp_ret: self.temp_ret })
    }

    /// How many bytes [`encode`](Self::encode) gives.
    pub fn encoded_size(&self) -> usize {
        if self.is_new() {
            return 0;
        }
        let files = (PAGE + self.files.encoded_size()).next_multiple_of(PAGE);
        let end = files + self.exceptions.encoded_size();
        match self.program.encoded_size(self.files.input()) {
            0 => end.next_multiple_of(UNIT),
            program => (end.next_multiple_of(PAGE) + program).next_multiple_of(UNIT),
        }
    }

    /// The state as the bytes of a memory: none where it is that of an instance that has just been made. Equal states
    /// give equal bytes.
    ///
    /// ```text
    ///    0  u64  F, the bytes of the file system
    ///    8  u64  E, the bytes of the exceptions
    ///   16  i32  the upper half of a result
    ///   24  u64  P, the bytes of the program
    /// 4096       the file system, F bytes
    ///    …       the exceptions, E bytes, at the next multiple of 4096
    ///    …       what the program was given, P bytes, at the next multiple of 4096
    /// ```
    ///
    /// All of it little endian, with zeros in between and up to a multiple of 64 KiB.
    ///
    /// # Errors
    /// [`DecodeError::NoRoom`].
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = room(self.encoded_size())?;
        if bytes.capacity() > 0 {
            self.put(&mut bytes);
        }
        Ok(bytes)
    }

    fn put(&self, into: &mut impl Sink) {
        let mut out = Counted::new(into);
        out.u64(self.files.encoded_size() as u64);
        out.u64(self.exceptions.encoded_size() as u64);
        out.u32(self.temp_ret as u32);
        out.u32(0);
        let program = self.program.encoded_size(self.files.input());
        out.u64(program as u64);
        out.pad(PAGE);
        self.files.encode(&mut out);
        out.pad(PAGE);
        self.exceptions.encode(&mut out);
        if program > 0 {
            out.pad(PAGE);
            self.program.encode(self.files.input(), &mut out);
        }
        out.pad(UNIT);
    }

    /// Room for the bytes of a state, of which so many pages are not all zeros.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] where no state has so many bytes; [`DecodeError::NoRoom`].
    pub fn room(size: u64, pages: usize) -> Result<Vec<u8>, DecodeError> {
        /// Pages that may be zeros in any state: padding, exceptions of which nothing is known, and a standard input.
        const ZERO_PAGES: u64 = 512 + (INPUT_BYTES / PAGE) as u64;
        /// Of so many pages that follow each other at least one is none of these, as short contents may be zeros but for
        /// a byte.
        const RUN: u64 = 3;

        let is_one = size <= STATE_BYTES && size / PAGE as u64 <= ZERO_PAGES + RUN * pages as u64;
        if !is_one {
            return Err(DecodeError::Invalid("a state of the host of a size that none has"));
        }
        let mut bytes = room(size as usize)?;
        bytes.resize(size as usize, 0);
        Ok(bytes)
    }

    /// The state of an image of a runtime that [`encode`](Self::encode) has made these bytes of.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] where the bytes are not an encoding; [`DecodeError::NoRoom`].
    pub fn decode(runtime: Runtime, bytes: &[u8]) -> Result<State, DecodeError> {
        const CUT: &str = "the state of the host is cut off";
        if bytes.is_empty() {
            return Ok(State::new(runtime));
        }
        let number = |at: usize| -> Result<usize, &'static str> {
            let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).ok_or(CUT)?;
            usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| CUT)
        };
        let part = |start: usize, size: usize| start.checked_add(size).and_then(|end| bytes.get(start..end)).ok_or(CUT);
        let (files, exceptions, program) = (number(0)?, number(8)?, number(HEADER - 8)?);
        let temp_ret = bytes.get(16..20).and_then(|bytes| bytes.try_into().ok()).ok_or(CUT)?;
        let files = part(PAGE, files)?;
        let start = (PAGE + files.len()).next_multiple_of(PAGE);
        let end = start.saturating_add(exceptions);
        let exceptions = part(start, exceptions)?;
        let (program, input) = match program {
            0 => Program::decode(&[])?,
            size => Program::decode(part(end.checked_next_multiple_of(PAGE).ok_or(CUT)?, size)?)?,
        };
        let mut files = Files::decode(files)?;
        files.set_input(input);
        let state = State {
            runtime,
            files,
            exceptions: Exceptions::decode(exceptions)?,
            program,
            temp_ret: i32::from_le_bytes(temp_ret),
        };
        // One state has one encoding: whatever else these bytes say would be lost.
        let mut expected = Expected::new(bytes);
        if !state.is_new() {
            state.put(&mut expected);
        }
        if expected.is_met() { Ok(state) } else { Err("the state of the host is not as it is written".into()) }
    }
}

/// An empty buffer for so many bytes.
fn room(size: usize) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    let room = bytes.try_reserve_exact(size);
    room.map_err(|_| DecodeError::NoRoom)?;
    Ok(bytes)
}
