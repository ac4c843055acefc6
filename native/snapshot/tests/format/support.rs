//! States to write, and what reads them back.

use hb_wasm64_snapshot::{
    Cancellation, Entries, Kind, Limits, Memory, PAGE, Plan, Resolved, Skeleton, Snapshot, SnapshotError, StateId,
    resolve,
};
use sha2::{Digest, Sha256};
use std::ops::Range;

pub const IMAGE: [u8; 32] = [0x1a; 32];
pub const LIMITS: Limits = Limits { table_entries: 1_000_000 };
pub const WASM_PAGE: usize = 65_536;

/// A state as a whole. The sizes of memories in `skeleton` are those of `memories`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub skeleton: Skeleton,
    pub memories: Vec<Vec<u8>>,
}

impl State {
    pub fn new(skeleton: Skeleton, memories: Vec<Vec<u8>>) -> State {
        let sizes = memories.iter().map(|memory| memory.len() as u64).collect();
        State { skeleton: Skeleton { memories: sizes, ..skeleton }, memories }
    }

    pub fn plan<T>(&self, kind: Kind, then: impl FnOnce(&Plan) -> T) -> T {
        self.plan_of(kind, then).unwrap()
    }

    pub fn plan_of<T>(&self, kind: Kind, then: impl FnOnce(&Plan) -> T) -> Result<T, SnapshotError> {
        let candidates: Vec<Vec<Range<usize>>> = self.memories.iter().map(|memory| candidates(memory)).collect();
        let memories: Vec<Memory> = self.memories.iter().zip(&candidates).map(memory).collect();
        Plan::new(&IMAGE, &self.skeleton, &memories, kind, Cancellation::never()).map(|plan| then(&plan))
    }

    /// The memories, of one 64 KiB page each, all of it a candidate.
    pub fn all(&self) -> Vec<Memory<'_>> {
        const ALL: Range<usize> = 0..WASM_PAGE;
        self.memories.iter().map(|bytes| Memory { bytes, candidates: std::slice::from_ref(&ALL) }).collect()
    }

    pub fn write(&self, kind: Kind) -> (Vec<u8>, StateId) {
        self.plan(kind, |plan| {
            // Not zero before: every byte must be written.
            let mut file = vec![0xee; plan.size()];
            let id = plan.write(&mut file).unwrap();
            (file, id)
        })
    }

    pub fn compress(&self, kind: Kind) -> (Vec<u8>, StateId) {
        self.plan(kind, |plan| {
            let mut file = Vec::new();
            let id = plan.compress(3, &mut file).unwrap();
            (file, id)
        })
    }

    pub fn delta(&self, chain: &[Vec<u8>]) -> (Vec<u8>, StateId) {
        resolved(chain, |base| self.write(Kind::Delta(base))).unwrap()
    }

    pub fn compressed_delta(&self, chain: &[Vec<u8>]) -> (Vec<u8>, StateId) {
        resolved(chain, |base| self.compress(Kind::Delta(base))).unwrap()
    }
}

fn memory<'a>((bytes, candidates): (&'a Vec<u8>, &'a Vec<Range<usize>>)) -> Memory<'a> {
    Memory { bytes, candidates }
}

/// Ranges as a host may know them: around what is not zero, with edges anywhere, and now and then too large.
fn candidates(memory: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (page, contents) in memory.chunks(PAGE).enumerate() {
        if let Some(first) = contents.iter().position(|byte| *byte != 0) {
            let last = contents.iter().rposition(|byte| *byte != 0).unwrap();
            ranges.push(page * PAGE + first..page * PAGE + last + 1);
        } else if page % 5 == 0 {
            ranges.push(page * PAGE..memory.len().min((page + 2) * PAGE));
        }
    }
    ranges
}

pub fn resolved<T>(chain: &[Vec<u8>], then: impl FnOnce(&Resolved) -> T) -> Result<T, SnapshotError> {
    let chain: Vec<Snapshot> = chain.iter().map(|file| Snapshot::parse(file, &LIMITS)).collect::<Result<_, _>>()?;
    resolve(&chain, Cancellation::never()).map(|state| then(&state))
}

pub fn merge_compressed(state: &Resolved, level: i32) -> Result<Vec<u8>, SnapshotError> {
    let mut file = Vec::new();
    state.merge_compressed(level, &mut file).map(|()| file)
}

pub fn entries(entries: impl IntoIterator<Item = Option<u32>>) -> Entries {
    let mut all = Entries::new();
    entries.into_iter().for_each(|entry| all.push_run(1, entry).unwrap());
    all
}

/// Reads a chain into memories that hold something else before. What a partial one leaves out stays empty.
pub fn read(chain: &[Vec<u8>]) -> Result<State, SnapshotError> {
    resolved(chain, |state| {
        let mut memories = Vec::new();
        for (memory, size) in state.skeleton().memories.iter().enumerate() {
            if state.is_partial() && memory == 0 {
                memories.push(Vec::new());
                continue;
            }
            // Damaged sizes must not be believed by a test either.
            assert!(*size <= 1 << 28, "{size}");
            let mut bytes = vec![0x55; *size as usize];
            let all = 0..bytes.len();
            state.restore_into(memory, &mut bytes, std::slice::from_ref(&all))?;
            memories.push(bytes);
        }
        Ok(State { skeleton: Skeleton::clone(state.skeleton()), memories })
    })?
}

/// Two states, the second with patches of nearly all pages of the first. Snapshots of either, and the delta between
/// them, have more page data than is decompressed at once.
pub fn large() -> (State, State) {
    let mut memory = vec![0; 4 * WASM_PAGE];
    for (number, page) in memory.as_chunks_mut::<PAGE>().0.iter_mut().enumerate() {
        page.iter_mut().step_by(1 + number).for_each(|byte| *byte = number as u8 + 1);
    }
    let first = State::new(Skeleton::default(), vec![memory.clone()]);
    for (number, page) in memory.as_chunks_mut::<PAGE>().0.iter_mut().enumerate().filter(|(number, _)| number % 9 != 4)
    {
        // Far enough from each other to be runs of their own.
        page.iter_mut().step_by(4).for_each(|byte| *byte ^= 0x80 + number as u8);
    }
    memory[7 * PAGE..8 * PAGE].fill(0);
    (first, State::new(Skeleton::default(), vec![memory]))
}

/// What a partial snapshot of a state gives back.
pub fn without_memory_0(state: &State) -> State {
    let mut state = state.clone();
    state.memories.first_mut().into_iter().for_each(Vec::clear);
    state
}

/// Where the check stands: after header, skeleton and page table.
pub fn check_at(file: &[u8]) -> Option<usize> {
    let skeleton = u32::from_le_bytes(file.get(12..16)?.try_into().ok()?);
    let table = u64::from_le_bytes(file.get(16..24)?.try_into().ok()?);
    let at = usize::try_from(table.checked_add(u64::from(skeleton))?.checked_add(128)?).ok()?;
    (at.checked_add(32)? <= file.len()).then_some(at)
}

/// Makes the check fit again after a change, as far as there is one.
pub fn seal(file: &mut [u8]) {
    if let Some(at) = check_at(file) {
        let check = Sha256::digest(&file[..at]);
        file[at..at + 32].copy_from_slice(&check);
    }
}
