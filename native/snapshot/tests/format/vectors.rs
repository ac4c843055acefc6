//! The test vectors of `docs/snapshot.md`, which are this project's too: what they show is what is written and read.

use super::support::{LIMITS, State, WASM_PAGE, entries, read, resolved, without_memory_0};
use hb_wasm64_snapshot::{
    Cancellation, GlobalValue, Kind, Memory, PAGE, Plan, Segment, Skeleton, Snapshot, SnapshotError,
};

use sha2::{Digest, Sha256};

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

const DOCS: &str = include_str!("../../../../docs/snapshot.md");

/// The bytes of a dump: on each line an offset, bytes, and after a semicolon what they are.
fn vector(name: &str) -> Vec<u8> {
    let mut dump = DOCS.lines().skip_while(|line| *line != format!("```hex {name}")).skip(1);
    let mut bytes = Vec::new();
    for line in dump.by_ref().take_while(|line| *line != "```") {
        let mut words = line.split(';').next().unwrap().split_whitespace();
        assert_eq!(words.next().unwrap(), bytes.len().to_string(), "{name}");
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).unwrap()));
    }
    assert!(!bytes.is_empty(), "docs/snapshot.md has no vector {name}");
    bytes
}

fn full_vector() -> Vec<u8> {
    [&vector("full")[..], &ascending(), &[0xa7; PAGE]].concat()
}

fn ascending() -> [u8; PAGE] {
    std::array::from_fn(|at| at as u8)
}

fn state(first_global: u32, memory: Vec<u8>) -> State {
    let skeleton = Skeleton {
        memories: Vec::new(),
        globals: vec![
            (0, GlobalValue::I32(first_global)),
            (1, GlobalValue::I64(-2_i64 as u64)),
            (2, GlobalValue::F32(0x7fc0_0000)),
            (3, GlobalValue::F64(1.5_f64.to_bits())),
            (4, GlobalValue::V128(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100)),
            (5, GlobalValue::Func(Some(3))),
            (6, GlobalValue::Func(None)),
            (8, GlobalValue::Null),
        ],
        tables: vec![(0, entries([None, None, None, None, Some(2), Some(5), Some(5)]))],
        dropped: vec![Segment::Data(1), Segment::Elem(0), Segment::Elem(2)],
    };
    State::new(skeleton, vec![memory])
}

fn second() -> State {
    let mut memory = vec![0; WASM_PAGE];
    memory[3 * PAGE..4 * PAGE].copy_from_slice(&ascending());
    memory[9 * PAGE..10 * PAGE].fill(0xa7);
    state(42, memory)
}

fn third() -> State {
    let mut memory = vec![0; 2 * WASM_PAGE];
    memory[3 * PAGE..4 * PAGE].copy_from_slice(&ascending());
    (memory[3 * PAGE], memory[3 * PAGE + 3], memory[4 * PAGE - 1]) = (0xff, 0xff, 0);
    memory[3 * PAGE..][200..203].fill(0);
    memory[20 * PAGE + 1] = 1;
    memory[31 * PAGE..].fill(0x5a);
    state(43, memory)
}

/// Of the smallest module, as the vectors are.
fn write(state: &State, kind: Kind) -> Vec<u8> {
    let all = 0..state.memories.first().map_or(0, Vec::len);
    let memories: Vec<Memory> =
        state.memories.iter().map(|bytes| Memory { bytes, candidates: std::slice::from_ref(&all) }).collect();
    let plan = Plan::new(&hash(b"\0asm\x01\0\0\0"), &state.skeleton, &memories, kind, Cancellation::never()).unwrap();
    let mut file = vec![0; plan.size()];
    plan.write(&mut file).unwrap();
    file
}

#[test]
fn the_state_of_an_empty_module() {
    let file = vector("empty");
    assert_eq!(write(&State::default(), Kind::Full), file);
    assert_eq!(read(&[file]), Ok(State::default()));
}

#[test]
fn a_full_snapshot() {
    let file = full_vector();
    assert_eq!(write(&second(), Kind::Full), file);
    assert_eq!(read(&[file]), Ok(second()));
}

#[test]
fn a_delta() {
    let full = full_vector();
    let delta = [&vector("delta")[..], &[0x5a; PAGE]].concat();
    assert_eq!(resolved(std::slice::from_ref(&full), |base| write(&third(), Kind::Delta(base))), Ok(delta.clone()));
    assert_eq!(read(&[full, delta.clone()]), Ok(third()));
    assert_eq!(read(&[delta]), Err(SnapshotError::NoBase));
}

#[test]
fn a_partial_snapshot() {
    let file = vector("partial");
    assert_eq!(write(&second(), Kind::Partial), file);
    assert_eq!(read(&[file]), Ok(without_memory_0(&second())));
}

/// Another version of zstd may write another frame, but must read this one.
#[test]
fn a_compressed_snapshot() {
    let (file, full) = (vector("zstd"), full_vector());
    let id = |file: &[u8]| *Snapshot::parse(file, &LIMITS).unwrap().id();
    assert_eq!(id(&file), id(&full));
    assert_eq!(read(&[file]), Ok(second()));
}
