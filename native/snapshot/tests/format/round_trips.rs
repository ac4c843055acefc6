//! A state comes back as it went, whichever way it took.

use super::states::{after, skeleton, state, step};
use super::support::{
    IMAGE, LIMITS, State, WASM_PAGE, entries, large, merge_compressed, read, resolved, without_memory_0,
};
use hb_wasm64_snapshot::{
    Cancellation, Entries, GlobalValue, Kind, Limits, Memory, PAGE, Plan, Segment, Skeleton, Snapshot, SnapshotError,
    resolve,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_state_comes_back_from_a_file_of_its_own(state in state()) {
        let (file, id) = state.write(Kind::Full);
        prop_assert_eq!(&read(std::slice::from_ref(&file)).unwrap(), &state);
        let (compressed, same) = state.compress(Kind::Full);
        prop_assert_eq!(id, same);
        prop_assert_eq!(&read(&[compressed]).unwrap(), &state);
        let (partial, other) = state.write(Kind::Partial);
        prop_assert_ne!(id, other);
        prop_assert_eq!(read(&[partial]).unwrap(), without_memory_0(&state));
    }

    #[test]
    fn a_chain_gives_its_last_state_and_merges_to_the_file_taken_directly(
        first in state(),
        steps in vec((step(), any::<bool>()), 1..5),
        compress_first in any::<bool>(),
        partial in any::<bool>(),
    ) {
        let kind = || if partial { Kind::Partial } else { Kind::Full };
        let write = |state: &State| if compress_first { state.compress(kind()) } else { state.write(kind()) };
        let (mut chain, mut state) = (vec![write(&first).0], first);
        for (step, compress) in &steps {
            state = after(&state, step);
            let (file, id) = if *compress { state.compressed_delta(&chain) } else { state.delta(&chain) };
            chain.push(file);
            prop_assert_eq!(resolved(&chain, |state| *state.id()).unwrap(), id);
        }
        let (direct, id) = state.write(kind());
        let (merged, merged_id, compressed) = resolved(&chain, |state| {
            state.verify().unwrap();
            let mut merged = vec![0xee; state.merged_size().unwrap()];
            state.merge_into(&mut merged).unwrap();
            (merged, *state.id(), merge_compressed(state, 3).unwrap())
        }).unwrap();
        prop_assert_eq!(id, merged_id);
        prop_assert_eq!(direct, merged);
        prop_assert_eq!(&state.compress(kind()).0, &compressed);
        let wanted = if partial { without_memory_0(&state) } else { state };
        prop_assert_eq!(&read(&chain).unwrap(), &wanted);
        prop_assert_eq!(&read(&[compressed]).unwrap(), &wanted);
    }

    #[test]
    fn one_bit_of_difference_gives_another_id(state in state(), other in skeleton(), at in any::<prop::sample::Index>()) {
        let (_, id) = state.write(Kind::Full);
        let with_other_rest = State::new(other, state.memories.clone());
        prop_assert_eq!(with_other_rest.write(Kind::Full).1 == id, with_other_rest == state);
        let mut changed = state.clone();
        if let Some(memory) = changed.memories.last_mut().filter(|memory| !memory.is_empty()) {
            let at = at.index(memory.len());
            memory[at] ^= 1;
            prop_assert_ne!(changed.write(Kind::Full).1, id);
        }
    }
}

/// A memory of four 64 KiB pages with something in `pages`.
fn with_pages(pages: &[(usize, u8)]) -> State {
    let mut memory = vec![0; 4 * WASM_PAGE];
    for (page, byte) in pages {
        memory[page * PAGE + 100] = *byte;
    }
    State::new(Skeleton::default(), vec![memory])
}

#[test]
fn a_delta_holds_what_changed_and_nothing_else() {
    let base = with_pages(&[(1, 1), (2, 1), (3, 1)]);
    let next = with_pages(&[(1, 1), (3, 2), (60, 1)]);
    for chain in [vec![base.write(Kind::Full).0], vec![base.compress(Kind::Full).0]] {
        let stored = resolved(&chain, |base| next.plan(Kind::Delta(base), |plan| plan.stored_pages())).unwrap();
        // Page 3 changed, page 60 is there, each by one byte; page 2 is zero now.
        assert_eq!(stored, 2);
        let (file, _) = next.delta(&chain);
        assert_eq!(file.len(), 128 + 28 + (8 + 3 * 26) + 32 + 2 * 3);
    }
}

#[test]
fn a_state_without_changes_is_a_delta_without_pages_and_has_the_same_id() {
    let state = with_pages(&[(1, 1), (2, 1)]);
    let (full, id) = state.write(Kind::Full);
    let (delta, same) = state.delta(std::slice::from_ref(&full));
    let (compressed, again) = state.compressed_delta(std::slice::from_ref(&full));
    assert_eq!((id, id), (same, again));
    assert_eq!(compressed.len(), delta.len());
    assert_eq!(read(&[full, delta, compressed]).unwrap(), state);
}

#[test]
fn pages_beyond_the_end_of_a_memory_that_has_shrunk_are_gone() {
    let base = with_pages(&[(1, 1), (40, 1)]);
    let small = State::new(Skeleton::default(), vec![base.memories[0][..WASM_PAGE].to_vec()]);
    let chain = vec![base.write(Kind::Full).0];
    let (delta, id) = small.delta(&chain);
    let chain = [chain, vec![delta]].concat();
    assert_eq!(read(&chain).unwrap(), small);
    assert_eq!(id, small.write(Kind::Full).1);
    let (grown, _) = base.delta(&chain);
    assert_eq!(read(&[chain, vec![grown]].concat()).unwrap(), base);
}

#[test]
fn a_table_of_ten_million_nulls_takes_as_much_room_as_one() {
    let mut entries = Entries::new();
    entries.push_run(10_000_000, None).unwrap();
    let state = State::new(Skeleton { tables: vec![(0, entries)], ..Skeleton::default() }, Vec::new());
    let (file, _) = state.write(Kind::Full);
    assert_eq!(file.len(), 128 + 20 + 16 + 32);
    let refused = Snapshot::parse(&file, &LIMITS).unwrap_err();
    assert_eq!(refused, SnapshotError::Limit { what: "entries in tables", limit: LIMITS.table_entries });
    let table_entries = 10_000_000;
    assert_eq!(Snapshot::parse(&file, &Limits { table_entries }).unwrap().skeleton(), &state.skeleton);
}

#[test]
fn what_the_format_cannot_say_is_refused_before_it_is_written() {
    let table = |index, entry: Option<u32>| (index, entries([entry]));
    let wrong = [
        Skeleton { globals: vec![(2, GlobalValue::Null), (1, GlobalValue::Null)], ..Skeleton::default() },
        Skeleton { globals: vec![(1, GlobalValue::Null), (1, GlobalValue::Null)], ..Skeleton::default() },
        Skeleton { globals: vec![(1, GlobalValue::Func(Some(u32::MAX)))], ..Skeleton::default() },
        Skeleton { tables: vec![table(1, None), table(1, None)], ..Skeleton::default() },
        Skeleton { tables: vec![table(1, Some(u32::MAX))], ..Skeleton::default() },
        Skeleton { dropped: vec![Segment::Elem(1), Segment::Data(2)], ..Skeleton::default() },
        Skeleton { memories: vec![WASM_PAGE as u64], ..Skeleton::default() },
    ];
    for skeleton in wrong {
        let refused = Plan::new(&IMAGE, &skeleton, &[], Kind::Full, Cancellation::never()).map(|plan| plan.size());
        assert!(matches!(refused, Err(SnapshotError::Unencodable(_))), "{skeleton:?}: {refused:?}");
    }
    let uneven = Skeleton { memories: vec![PAGE as u64], ..Skeleton::default() };
    let memory = Memory { bytes: &[0; PAGE], candidates: &[] };
    assert!(matches!(
        Plan::new(&IMAGE, &uneven, &[memory], Kind::Full, Cancellation::never()),
        Err(SnapshotError::Unencodable(_))
    ));
    let even = Skeleton { memories: vec![WASM_PAGE as u64], ..Skeleton::default() };
    let wanted = SnapshotError::WrongSize { wanted: WASM_PAGE as u64, found: PAGE as u64 };
    assert_eq!(
        Plan::new(&IMAGE, &even, &[memory], Kind::Full, Cancellation::never()).map(|plan| plan.size()),
        Err(wanted)
    );
}

#[test]
fn buffers_of_the_wrong_size_and_memories_that_are_not_there_are_refused() {
    let state = with_pages(&[(1, 1)]);
    let (file, _) = state.write(Kind::Full);
    let size = file.len();
    for wrong in [0, size - 1, size + 1] {
        let written = state.plan(Kind::Full, |plan| plan.write(&mut vec![0; wrong]));
        assert_eq!(written, Err(SnapshotError::WrongSize { wanted: size as u64, found: wrong as u64 }));
    }
    resolved(&[file], |state| {
        let wrong = state.restore_into(0, &mut vec![0; WASM_PAGE], &[]);
        let wanted = 4 * WASM_PAGE as u64;
        assert_eq!(wrong, Err(SnapshotError::WrongSize { wanted, found: WASM_PAGE as u64 }));
        assert_eq!(state.restore_into(1, &mut [], &[]), Err(SnapshotError::NoMemory(1)));
        assert!(matches!(state.merge_into(&mut [0; 7]), Err(SnapshotError::WrongSize { .. })));
    })
    .unwrap();
}

#[test]
fn the_contents_of_memory_0_are_not_in_a_partial_snapshot_and_cannot_be_asked_for() {
    let state = State::new(Skeleton::default(), vec![vec![1; WASM_PAGE], vec![2; WASM_PAGE]]);
    let (file, _) = state.write(Kind::Partial);
    assert_eq!(file.len(), 128 + (4 + 16 + 16) + (8 + 8 + 16 * 26) + 32 + WASM_PAGE);
    resolved(&[file], |partial| {
        let mut memory = vec![0; WASM_PAGE];
        assert_eq!(partial.restore_into(0, &mut memory, &[]), Err(SnapshotError::MemoryElsewhere));
        partial.restore_into(1, &mut memory, &[]).unwrap();
        assert_eq!(memory, state.memories[1]);
    })
    .unwrap();
}

#[test]
fn only_what_may_be_dirty_is_cleared() {
    let (file, _) = with_pages(&[(1, 1), (3, 1)]).write(Kind::Full);
    let mut memory = vec![9; 4 * WASM_PAGE];
    let dirty = [10..20, PAGE..2 * PAGE, 2 * PAGE..2 * PAGE + 1, 3 * PAGE + 5..4 * PAGE];
    resolved(&[file], |state| state.restore_into(0, &mut memory, &dirty)).unwrap().unwrap();
    let firsts: Vec<u8> = memory.as_chunks::<PAGE>().0.iter().take(5).map(|page| page[0]).collect();
    assert_eq!(firsts, [0, 0, 0, 0, 9]);
    assert_eq!((memory[PAGE + 100], memory[3 * PAGE + 100]), (1, 1));
}

#[test]
fn a_delta_against_a_base_with_damaged_pages_is_never_restored_to_something_else() {
    let base = with_pages(&[(1, 1), (2, 1)]);
    let (mut file, _) = base.write(Kind::Full);
    let last = file.len() - 1;
    file[last] ^= 1;
    // The page differs from what stands in the file, but not from what it is said to be.
    let changed =
        resolved(std::slice::from_ref(&file), |damaged| base.plan_of(Kind::Delta(damaged), |plan| plan.size()));
    assert_eq!(changed.unwrap(), Err(SnapshotError::DamagedPage { memory: 0, page: 2 }));
    // The guest happens to hold the damaged bytes: the delta calls them unchanged, and the chain is refused as it was.
    let mut next = base.clone();
    next.memories[0][3 * PAGE - 1] ^= 1;
    let (delta, _) = next.delta(std::slice::from_ref(&file));
    assert_eq!(read(&[file, delta]), Err(SnapshotError::DamagedPage { memory: 0, page: 2 }));
}

#[test]
fn large_compressed_files_are_read_record_by_record() {
    let (first, second) = large();
    let full = first.compress(Kind::Full).0;
    let (delta, id) = second.compressed_delta(std::slice::from_ref(&full));
    let chain = [full, delta];
    let plain = resolved(&chain[..1], |base| second.plan(Kind::Delta(base), |plan| plan.size())).unwrap();
    assert!(plain > 160 << 10, "{plain}");
    assert_eq!(read(&chain).unwrap(), second);
    assert_eq!(second.write(Kind::Full).1, id);
    resolved(&chain, |state| {
        assert_eq!(state.verify(), Ok(()));
        assert_eq!(merge_compressed(state, 3).unwrap(), second.compress(Kind::Full).0);
    })
    .unwrap();
    // Against the chain: the pages that did not change in between, and back.
    let (back, id) = first.delta(&chain);
    assert_eq!(first.write(Kind::Full).1, id);
    assert_eq!(read(&[&chain[..], &[back]].concat()).unwrap(), first);
    let mut one = second.clone();
    one.memories[0][60 * PAGE] ^= 1;
    // Only late records are asked for.
    let (last, _) = one.delta(&chain);
    assert_eq!(last.len(), 128 + 28 + 8 + 26 + 32 + 3);
    assert_eq!(read(&[&chain[..], &[last]].concat()).unwrap(), one);
}

/// A page whose XXH3-128 is the same for all pairs of numbers with the same sum. What is in front of each is what the
/// hash mixes in at that place: it cancels out, and of the numbers only their sum is left.
fn with_sum(a: u32, b: u32) -> State {
    let mut memory = vec![0; WASM_PAGE];
    memory[..4].copy_from_slice(&[0xb8, 0xfe, 0x6c, 0x39]);
    memory[4..8].copy_from_slice(&a.to_le_bytes());
    memory[64..68].copy_from_slice(&[0x7c, 0x01, 0x81, 0x2c]);
    memory[68..72].copy_from_slice(&b.to_le_bytes());
    State::new(Skeleton::default(), vec![memory])
}

#[test]
fn pages_that_were_made_to_have_the_same_hash_are_still_different_pages() {
    let (first, second) = (with_sum(3, 4), with_sum(1, 6));
    // What page hashes cannot tell apart, ids cannot.
    assert_eq!(first.write(Kind::Full).1, second.write(Kind::Full).1);
    for base in [first.write(Kind::Full).0, first.compress(Kind::Full).0] {
        for delta in
            [second.delta(std::slice::from_ref(&base)).0, second.compressed_delta(std::slice::from_ref(&base)).0]
        {
            let chain = [base.clone(), delta];
            assert_eq!(read(&chain).unwrap(), second);
            let merged = resolved(&chain, |state| merge_compressed(state, 3).unwrap()).unwrap();
            assert_eq!(read(&[merged]).unwrap(), second);
        }
    }
}

/// Every step of the work looks at the flag: whoever raises it in the middle waits for a page at most.
#[test]
fn cancelled_work_ends_with_an_error() {
    let (first, second) = large();
    let full = first.write(Kind::Full).0;
    let delta = second.delta(std::slice::from_ref(&full)).0;
    let flag = AtomicBool::new(false);
    let cancellation = Cancellation::by(&flag);
    let parsed = [&full, &delta].map(|file| Snapshot::parse(file, &LIMITS).unwrap());
    let state = resolve(&parsed, cancellation).unwrap();
    let memories = second.all();
    let memories: Vec<Memory> = memories.iter().map(|memory| Memory { candidates: &[], ..*memory }).collect();
    let plan = Plan::new(&IMAGE, &second.skeleton, &memories, Kind::Full, cancellation).unwrap();
    let base = Plan::new(&IMAGE, &first.skeleton, &first.all(), Kind::Delta(&state), cancellation).unwrap();
    flag.store(true, Ordering::Release);
    let cancelled = SnapshotError::Cancelled;
    assert_eq!(resolve(&parsed, cancellation).map(|state| *state.id()), Err(cancelled.clone()));
    assert_eq!(merge_compressed(&state, 3), Err(cancelled.clone()));
    assert_eq!(state.merge_into(&mut vec![0; state.merged_size().unwrap()]), Err(cancelled.clone()));
    assert_eq!(state.verify(), Err(cancelled.clone()));
    assert_eq!(state.restore_into(0, &mut second.memories[0].clone(), &[]), Err(cancelled.clone()));
    assert_eq!(base.write(&mut vec![0; base.size()]), Err(cancelled.clone()));
    assert_eq!(base.compress(3, &mut Vec::new()), Err(cancelled.clone()));
    assert_eq!(plan.stored_pages(), 0);
    for kind in [Kind::Full, Kind::Delta(&state)] {
        let planned = Plan::new(&IMAGE, &second.skeleton, &second.all(), kind, cancellation).map(|plan| plan.size());
        assert_eq!(planned, Err(cancelled.clone()));
    }
}
