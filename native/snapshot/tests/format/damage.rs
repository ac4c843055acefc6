//! Files that were damaged on their way: an error, or exactly the state that was written. Never a panic, never another
//! state.

use super::support::{State, WASM_PAGE, check_at, entries, large, read, seal, without_memory_0};
use hb_wasm64_snapshot::{GlobalValue, Kind, PAGE, Segment, Skeleton};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One way to damage a file. Places are taken modulo its size.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Swap(usize, usize, usize),
    Overwrite(usize, u64),
    /// The lengths in the header, by small and by large amounts.
    Length(usize, i64),
    Version(u16),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Half of them in the part before the page data, where the structure is.
    let place = || prop_oneof![any::<usize>(), 0_usize..300];
    let number = || prop_oneof![any::<u64>(), 0_u64..70, Just(u64::MAX), Just(1 << 32)];
    prop_oneof![
        4 => (place(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => place().prop_map(Damage::Cut),
        1 => (place(), vec(any::<u8>(), 1..50)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (place(), 1_usize..50).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (place(), place(), 1_usize..100).prop_map(|(a, b, count)| Damage::Swap(a, b, count)),
        2 => (place(), number()).prop_map(|(at, number)| Damage::Overwrite(at, number)),
        1 => (0_usize..3, prop_oneof![-50_i64..50, any::<i64>()]).prop_map(|(which, by)| Damage::Length(which, by)),
        1 => any::<u16>().prop_map(Damage::Version),
    ]
}

fn apply(file: &mut Vec<u8>, damage: &Damage) {
    let size = file.len().max(1);
    match damage {
        Damage::Flip(at, bit) => file.iter_mut().skip(at % size).take(1).for_each(|byte| *byte ^= 1 << bit),
        Damage::Cut(at) => file.truncate(at % size),
        Damage::Insert(at, bytes) => {
            let at = (at % size).min(file.len());
            file.splice(at..at, bytes.iter().copied());
        }
        Damage::Remove(at, count) => {
            let at = (at % size).min(file.len());
            file.drain(at..(at + count).min(file.len()));
        }
        Damage::Swap(a, b, count) => {
            for step in 0..*count {
                let (a, b) = (a.wrapping_add(step) % size, b.wrapping_add(step) % size);
                if !file.is_empty() {
                    file.swap(a, b);
                }
            }
        }
        Damage::Overwrite(at, number) => {
            let bytes = number.to_le_bytes();
            file.iter_mut().skip(at % size).zip(bytes).for_each(|(byte, other)| *byte = other);
        }
        Damage::Length(which, by) => {
            let (at, width) = [(12, 4), (16, 8), (24, 8)][*which];
            if let Some(field) = file.get_mut(at..at + width) {
                let mut number = [0; 8];
                number[..width].copy_from_slice(field);
                let changed = u64::from_le_bytes(number).wrapping_add_signed(*by).to_le_bytes();
                field.copy_from_slice(&changed[..width]);
            }
        }
        Damage::Version(version) => {
            file.iter_mut().skip(8).zip(version.to_le_bytes()).for_each(|(byte, other)| *byte = other);
        }
    }
}

fn states() -> (State, State) {
    let skeleton = Skeleton {
        memories: Vec::new(),
        globals: vec![(0, GlobalValue::I32(7)), (3, GlobalValue::Func(Some(1))), (4, GlobalValue::Null)],
        tables: vec![(0, entries([None, None, Some(2), Some(2), Some(3)]))],
        dropped: vec![Segment::Data(1), Segment::Elem(0)],
    };
    let mut memories = vec![vec![0; WASM_PAGE], vec![0; WASM_PAGE]];
    memories[0][3 * PAGE..][..3].copy_from_slice(b"abc");
    memories[1][..2 * PAGE].fill(4);
    let first = State::new(skeleton.clone(), memories.clone());
    memories[0][3 * PAGE..][..3].fill(0);
    memories[0][9 * PAGE] = 1;
    memories[0][12 * PAGE..13 * PAGE].fill(6);
    // Patches, one of them with many runs.
    memories[1][PAGE] = 5;
    memories[1][..PAGE].iter_mut().step_by(150).for_each(|byte| *byte = 9);
    (first, State::new(Skeleton { globals: vec![(0, GlobalValue::I64(8))], ..skeleton }, memories))
}

/// Chains of every kind of file; the last one is the one to damage, and the state that they give.
fn chains() -> Vec<(Vec<Vec<u8>>, State)> {
    let (first, next) = states();
    let full = vec![first.write(Kind::Full).0];
    let compressed = vec![first.compress(Kind::Full).0];
    let partial = vec![first.write(Kind::Partial).0];
    let empty = State::default();
    let after = |chain: &Vec<Vec<u8>>, delta: Vec<u8>| [chain.clone(), vec![delta]].concat();
    let last = {
        let mut memories = next.memories.clone();
        memories[1][..PAGE].iter_mut().step_by(170).for_each(|byte| *byte ^= 3);
        memories[0][12 * PAGE + 1000] = 1;
        State::new(next.skeleton.clone(), memories)
    };
    let two = after(&full, next.delta(&full).0);
    let mixed = after(&compressed, next.delta(&compressed).0);
    let (large, larger) = large();
    let stream = vec![large.compress(Kind::Full).0];
    vec![
        (after(&stream, larger.compressed_delta(&stream).0), larger),
        (after(&two, last.delta(&two).0), last.clone()),
        (after(&mixed, last.compressed_delta(&mixed).0), last.clone()),
        (after(&full, next.delta(&full).0), next.clone()),
        (after(&compressed, next.compressed_delta(&compressed).0), next.clone()),
        (after(&partial, next.delta(&partial).0), without_memory_0(&next)),
        (full, first.clone()),
        (compressed, first.clone()),
        (partial, without_memory_0(&first)),
        (vec![empty.write(Kind::Full).0], empty),
    ]
}

#[test]
fn ten_thousand_damages_of_every_kind_of_file_give_an_error_or_the_same_state() {
    let chains = chains();
    let mut runner = TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    let cases = (0..chains.len(), vec(damage(), 1..4), any::<bool>());
    runner
        .run(&cases, |(which, damages, sealed)| {
            let (chain, state) = &chains[which];
            let mut chain = chain.clone();
            let file = chain.last_mut().unwrap();
            damages.iter().for_each(|damage| apply(file, damage));
            // A check that fits again lets the damage through to what lies behind it.
            if sealed {
                seal(file);
            }
            if let Ok(read) = read(&chain) {
                prop_assert_eq!(&read, state);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for (mut chain, _) in chains() {
        let file = chain.pop().unwrap();
        let structure = check_at(&file).unwrap() + 40;
        for end in (0..structure).chain((structure..file.len()).step_by(97)).filter(|end| *end < file.len()) {
            chain.push(file[..end].to_vec());
            assert!(read(&chain).is_err(), "{end} of {}", file.len());
            chain.pop();
        }
    }
}

#[test]
fn every_flipped_bit_before_the_page_data_is_noticed_and_every_one_in_plain_pages() {
    for (mut chain, _) in chains() {
        let mut file = chain.pop().unwrap();
        let compressed = u16::from_le_bytes([file[10], file[11]]) & 2 != 0;
        let end = if compressed { check_at(&file).unwrap() + 32 } else { file.len() };
        let step = |at: usize| if at < 600 { 1 } else { 61 };
        let mut at = 0;
        while at < end {
            file[at] ^= 1 << (at % 8);
            chain.push(file.clone());
            assert!(read(&chain).is_err(), "{at}");
            chain.pop();
            file[at] ^= 1 << (at % 8);
            at += step(at);
        }
    }
}
