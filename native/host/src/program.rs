//! What a program is given as it starts, and what of that it still has.

use crate::encoding::{Counted, DecodeError, Sink};
use crate::errno::Errno;
use crate::files::Files;
use crate::limits::{
    ARGUMENT_BYTES, ARGUMENTS, GIVEN_FILES, INPUT_BYTES, NAME_BYTES, PATH_BYTES, PREOPENS, SEED_BYTES,
};
use crate::random::Random;
use crate::runtime::Runtime;
use crate::strings::{Strings, Vector};
use thiserror::Error;

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

/// What a caller gives a program for its start. Each is as the runtime has it where it is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Its arguments, behind the name of the program.
    pub args: Option<Vec<Vec<u8>>>,
    /// Its environment: names and values.
    pub env: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// What it can read from its standard input.
    pub stdin: Option<Vec<u8>>,
    /// What its random bytes are made of.
    pub seed: Option<Vec<u8>>,
    /// The directories that it finds open, by the names under which it finds them. Only for images of WASI.
    pub preopens: Option<Vec<Vec<u8>>>,
    /// Files that it finds: absolute paths, and their contents.
    pub files: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// A clock of its own, that ticks.
    pub clock: Option<Clock>,
}

/// A clock that goes on with each look at it, and not otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What it shows next, in milliseconds since 1970.
    pub next: u64,
    /// By how much it goes on then.
    pub step: u64,
}

impl Clock {
    /// As after so many looks.
    pub(crate) fn tick(&mut self, looks: u64) {
        self.next = self.next.saturating_add(self.step.saturating_mul(looks));
    }
}

/// Why something cannot be given: what it is called.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("what is given as {0} cannot be given to a program")]
pub struct NotGiven(pub &'static str);

impl Given {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Given::default()
    }

    /// Whether a program can be given all of it.
    ///
    /// # Errors
    /// [`NotGiven`] names the first that is malformed, or too much.
    pub fn check(&self) -> Result<(), NotGiven> {
        let strings = |strings: &[Vec<u8>]| {
            strings.len() <= ARGUMENTS
                && strings.iter().map(|string| string.len() + 1).sum::<usize>() <= ARGUMENT_BYTES
                && strings.iter().all(|string| !string.contains(&0))
        };
        let no_name = |(name, _): &(Vec<u8>, Vec<u8>)| name.is_empty() || name.contains(&b'=');
        let env = self.env.as_deref().unwrap_or_default();
        let preopens = self.preopens.as_deref().unwrap_or_default();
        let checks = [
            ("args", strings(self.args.as_deref().unwrap_or_default())),
            ("env", strings(&variables(env)) && !env.iter().any(no_name)),
            ("stdin", self.stdin.as_ref().is_none_or(|bytes| bytes.len() <= INPUT_BYTES)),
            ("seed", self.seed.as_ref().is_none_or(|seed| (1..=SEED_BYTES).contains(&seed.len()))),
            ("files", self.files.as_deref().is_none_or(are_given_files)),
            ("preopens", preopens.len() <= PREOPENS && preopens.iter().all(|name| is_directory_name(name))),
        ];
        match checks.into_iter().find(|(_, holds)| !holds) {
            Some((what, _)) => Err(NotGiven(what)),
            None => {
                let mut tried = Files::new();
                open(&mut tried, preopens).map_err(|_| NotGiven("preopens"))?;
                put(&mut tried, self.files.as_deref().unwrap_or_default()).map_err(|_| NotGiven("files"))
            }
        }
    }
}

/// Whether a program can find a directory under a name: a path without parts that lead back.
fn is_directory_name(name: &[u8]) -> bool {
    let is_part = |part: &[u8]| !part.is_empty() && part != b".." && part.len() <= NAME_BYTES;
    let parts = name.strip_prefix(b"/").unwrap_or(name);
    let is_plain = parts.split(|byte| *byte == b'/').all(|part| is_part(part) && part != b".");
    std::str::from_utf8(name).is_ok()
        && name.len() < PATH_BYTES
        && !name.contains(&0)
        && (is_plain || name == b"/" || name == b".")
}

fn open(files: &mut Files, preopens: &[Vec<u8>]) -> Result<(), Errno> {
    preopens.iter().try_for_each(|name| files.preopen(name))
}

/// Whether they are few and short enough, and where they can be. Whoever has more puts it there later.
fn are_given_files(files: &[(Vec<u8>, Vec<u8>)]) -> bool {
    files.len() <= GIVEN_FILES
        && files.iter().map(|(_, contents)| contents.len()).sum::<usize>() <= INPUT_BYTES
        && files.iter().all(|(path, _)| path.starts_with(b"/") && !path.contains(&0))
}

fn put(files: &mut Files, given: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Errno> {
    given.iter().try_for_each(|(path, contents)| files.put_file(path, contents, 0))
}

fn variables(env: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
    env.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect()
}

/// What a program still has of what it was given, and what it has made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// Its arguments, behind its name.
    args: Strings,
    /// Its environment, as `NAME=VALUE`; `None`: that of the runtime.
    env: Option<Strings>,
    /// Its random bytes, if there are any.
    pub(crate) random: Option<Random>,
    /// How far its clocks have come by sleeping: nanoseconds since 1970. They do not go back behind this.
    pub(crate) awake: u64,
    /// A clock of its own: it is not the caller's then.
    pub(crate) clock: Option<Clock>,
}

impl Program {
    /// A program of a runtime that is given something which has been [checked](Given::check), and the files of which become
    /// what it finds.
    pub(crate) fn new(runtime: Runtime, given: Given, files: &mut Files) -> Program {
        if runtime == Runtime::Wasi {
            let preopens = given.preopens.unwrap_or_else(|| vec![b"/".to_vec()]);
            // It has been tried on other files.
            let _ = open(files, &preopens);
        }
        // They have been tried, too.
        let _ = put(files, given.files.as_deref().unwrap_or_default());
        files.set_input(given.stdin.unwrap_or_default());
        Program {
            args: Strings::new(given.args.unwrap_or_default()),
            env: given.env.map(|env| Strings::new(variables(&env))),
            random: given.seed.map(|seed| Random::new(&seed)),
            awake: 0,
            clock: given.clock,
        }
    }

    /// The vector of arguments: the name of the program and what is behind it.
    pub(crate) fn arguments(&self) -> Vector<'_> {
        self.args.behind(PROGRAM, 1)
    }

    /// The environment as the caller has given it.
    pub(crate) fn environment(&self) -> Option<Vector<'_>> {
        self.env.as_ref().map(|env| env.behind(b"", 0))
    }

    /// A copy.
    ///
    /// # Errors
    /// [`DecodeError::NoRoom`].
    pub(crate) fn copy(&self) -> Result<Program, DecodeError> {
        let env = self.env.as_ref().map(Strings::copy).transpose()?;
        let (random, awake, clock) = (self.random.clone(), self.awake, self.clock);
        Ok(Program { args: self.args.copy()?, env, random, awake, clock })
    }

    /// Bytes that [`encode`](Self::encode) gives.
    pub(crate) fn encoded_size(&self, input: &[u8]) -> usize {
        let mut size = Size(0);
        self.put(input, &mut Counted::new(&mut size));
        size.0
    }

    /// What it has, and what is left of its standard input; nothing where that is as without options.
    ///
    /// ```text
    /// u64  how far its clocks have come
    /// u32  A, how many arguments; A times u32 size and the bytes
    /// u32  E + 1, how many variables of the environment, or 0 where it is that of the runtime; E times u32 size and the bytes
    /// u64  I, and the bytes of the input
    /// u32  whether there are random bytes: 0, or 1 and 32 bytes of the key, u64 how many bytes of the stream are used
    /// u64  what its own clock shows next, and u64 by how much that goes on; nothing where it has none
    /// ```
    pub(crate) fn encode(&self, input: &[u8], out: &mut Counted<'_, impl Sink>) {
        self.put(input, out);
    }

    fn put(&self, input: &[u8], out: &mut Counted<'_, impl Sink>) {
        if *self == Program::default() && input.is_empty() {
            return;
        }
        out.u64(self.awake);
        out.u32(self.args.count() as u32);
        self.args.encode(out);
        out.u32(self.env.as_ref().map_or(0, |env| env.count() as u32 + 1));
        if let Some(env) = &self.env {
            env.encode(out);
        }
        out.u64(input.len() as u64);
        out.put(input);
        match &self.random {
            None => out.u32(0),
            Some(random) => {
                out.u32(1);
                out.put(random.key());
                out.u64(random.position());
            }
        }
        if let Some(clock) = self.clock {
            out.u64(clock.next);
            out.u64(clock.step);
        }
    }

    /// What [`encode`](Self::encode) has made these bytes of, and the input.
    ///
    /// # Errors
    /// What is wrong with the bytes; [`DecodeError::NoRoom`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Program, Vec<u8>), DecodeError> {
        const MANY: &str = "a program is given more than it can be";
        if bytes.is_empty() {
            return Ok((Program::default(), Vec::new()));
        }
        let mut from = Reader(bytes);
        let awake = from.u64()?;
        let count = from.u32()?;
        let args = Strings::decode(count, || from.string())?;
        let env = match from.u32()?.checked_sub(1) {
            None => None,
            Some(count) => Some(Strings::decode(count, || from.string())?),
        };
        let size = usize::try_from(from.u64()?).ok().filter(|size| *size <= INPUT_BYTES).ok_or(MANY)?;
        let rest = from.take(size)?;
        let random = match from.u32()? {
            0 => None,
            1 => Some(Random::at(from.array()?, from.u64()?)),
            _ => return Err("invalid random bytes of a program".into()),
        };
        let clock = match from.0.is_empty() {
            true => None,
            false => Some(Clock { next: from.u64()?, step: from.u64()? }),
        };
        if !from.0.is_empty() {
            return Err(MANY.into());
        }
        let mut input = Vec::new();
        input.try_reserve_exact(rest.len()).map_err(|_| DecodeError::NoRoom)?;
        input.extend_from_slice(rest);
        Ok((Program { args, env, random, awake, clock }, input))
    }
}

/// A sink that only counts.
struct Size(usize);

impl Sink for Size {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Bytes that are read one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or("what a program is given is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "what a program is given is cut off")
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Result<&'a [u8], &'static str> {
        let size = self.u32()? as usize;
        self.take(size)
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::Runtime;
    use crate::state::State;

    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(1_u8..255, 0..8)
    }

    fn given() -> impl Strategy<Value = Given> {
        use proptest::collection::vec;
        use proptest::option::of;

        let pair = ("[A-Z]{1,3}", text()).prop_map(|(name, value)| (name.into_bytes(), value));
        let names = vec("/?[a-z]{1,3}(/[a-z]{1,3}){0,2}".prop_map(String::into_bytes), 0..4);
        (
            of(vec(text(), 0..4)),
            of(vec(pair, 0..4)),
            of(vec(any::<u8>(), 0..9000)),
            of(vec(any::<u8>(), 1..9)),
            of(names),
            of((any::<u64>(), any::<u64>()).prop_map(|(next, step)| Clock { next, step })),
        )
            .prop_map(|(args, env, stdin, seed, preopens, clock)| Given {
                args,
                env,
                stdin,
                seed,
                preopens,
                files: None,
                clock,
            })
    }

    fn encode(state: &State) -> Vec<u8> {
        let bytes = state.encode().unwrap();
        assert_eq!(bytes.len(), state.encoded_size());
        bytes
    }

    proptest! {
        #[test]
        fn a_state_comes_back_with_what_a_program_was_given(
            given in given(),
            is_wasi in any::<bool>(),
            awake in prop_oneof![Just(0_u64), any::<u64>()],
            random in 0_usize..100,
            read in 0_usize..100,
        ) {
            prop_assert_eq!(given.check(), Ok(()));
            let runtime = if is_wasi { Runtime::Wasi } else { Runtime::Emscripten };
            let mut state = State::given(runtime, given);
            state.program.awake = awake;
            if let Some(stream) = &mut state.program.random {
                stream.fill(&mut vec![0; random]);
            }
            let mut bytes = vec![0; read];
            let read = state.files.read(0, &mut bytes);
            prop_assert!(read.is_ok());
            let encoded = encode(&state);
            let decoded = State::decode(runtime, &encoded).unwrap();
            prop_assert_eq!(&decoded, &state);
            prop_assert_eq!(encode(&decoded), encoded.clone());
            prop_assert_eq!(encode(&state.copy().unwrap()), encoded);
        }

        #[test]
        fn what_is_damaged_is_refused_or_is_another_state(at in 0_usize..400, bit in 0_u32..8, cut in 0_usize..400) {
            let given = Given {
                args: Some(vec![b"one".to_vec(), vec![]]),
                env: Some(vec![(b"A".to_vec(), b"b".to_vec())]),
                stdin: Some(b"input".to_vec()),
                seed: Some(b"seed".to_vec()),
                preopens: None,
                files: None,
                clock: Some(Clock { next: 10_000, step: 1 }),
            };
            let state = State::given(Runtime::Wasi, given);
            let mut bytes = Vec::new();
            state.program.encode(state.files.input(), &mut Counted::new(&mut bytes));
            // Without its clock it is another state.
            if let Ok((program, _)) = Program::decode(&bytes[..cut % bytes.len()]) {
                prop_assert!(program != state.program);
            }
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok((program, input)) = Program::decode(&bytes) {
                prop_assert!(program != state.program || input != state.files.input());
            }
        }
    }

    #[test]
    fn more_than_a_program_can_be_given_is_refused_as_that() {
        let encoded = |counts: [u32; 2], input: u64| {
            let mut bytes = vec![0; 8];
            counts.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
            bytes.extend(input.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.resize(bytes.len() + input as usize, 0);
            bytes
        };
        assert!(Program::decode(&encoded([0, 0], 5)).is_ok());
        let many = Err(DecodeError::Invalid("a program is given more than it can be"));
        assert_eq!(Program::decode(&encoded([0, 0], INPUT_BYTES as u64 + 1)), many);
        let wrong = Err(DecodeError::Invalid("invalid arguments or environment of a program"));
        let most = ARGUMENTS as u32;
        assert_eq!(Program::decode(&encoded([most + 1, 0], 0)), wrong);
        assert_eq!(Program::decode(&encoded([0, most + 2], 0)), wrong);
    }

    /// Snapshots of before this was part of the state are restored, and taken of the same state.
    #[test]
    fn a_program_that_is_given_nothing_takes_no_bytes() {
        for runtime in [Runtime::Emscripten, Runtime::Wasi] {
            let mut state = State::given(runtime, Given::default());
            assert_eq!(encode(&state), b"");
            state.files.make_directory(crate::files::flags::AT_FDCWD, b"/x", 0o777, 0).unwrap();
            assert_eq!(encode(&state)[24..32], [0; 8]);
            assert_eq!(encode(&state).len() % 65_536, 0);
        }
    }
}
