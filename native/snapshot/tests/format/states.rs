//! Random states, and states that follow them.

use super::support::{State, WASM_PAGE, entries};
use hb_wasm64_snapshot::{Entries, GlobalValue, PAGE, Segment, Skeleton};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

/// What happens to a page: it becomes zero, or some bytes of it change.
#[derive(Clone, Debug)]
pub enum Change {
    Clear,
    Set(u16, u8),
    Fill(u8),
    /// Every so many bytes.
    Scatter(usize, u8),
}

/// A step from one state to the next.
#[derive(Clone, Debug)]
pub struct Step {
    skeleton: Skeleton,
    grow: usize,
    /// 0: a memory comes behind the others; 1: the last one goes, unless it is the first.
    count: u8,
    changes: Vec<(prop::sample::Index, prop::sample::Index, Change)>,
}

pub fn skeleton() -> impl Strategy<Value = Skeleton> {
    let entries = vec((1_u32..5, prop::option::of(0_u32..6)), 0..6);
    let segments = || btree_set(any::<u32>(), 0..4);
    (btree_map(any::<u32>(), global(), 0..5), btree_map(any::<u32>(), entries, 0..3), segments(), segments()).prop_map(
        |(globals, tables, data, elem)| Skeleton {
            memories: Vec::new(),
            globals: globals.into_iter().collect(),
            tables: tables.into_iter().map(|(index, runs)| (index, entries_of(&runs))).collect(),
            dropped: data.into_iter().map(Segment::Data).chain(elem.into_iter().map(Segment::Elem)).collect(),
        },
    )
}

fn entries_of(runs: &[(u32, Option<u32>)]) -> Entries {
    entries(runs.iter().flat_map(|(count, entry)| std::iter::repeat_n(*entry, *count as usize)))
}

fn global() -> impl Strategy<Value = GlobalValue> {
    prop_oneof![
        any::<u32>().prop_map(GlobalValue::I32),
        any::<u64>().prop_map(GlobalValue::I64),
        any::<u32>().prop_map(GlobalValue::F32),
        any::<u64>().prop_map(GlobalValue::F64),
        any::<u128>().prop_map(GlobalValue::V128),
        prop::option::of(0_u32..1000).prop_map(GlobalValue::Func),
        Just(GlobalValue::Null),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::Clear),
        5 => (0..PAGE as u16, any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => any::<u8>().prop_map(Change::Fill),
        3 => (1_usize..300, any::<u8>()).prop_map(|(step, byte)| Change::Scatter(step, byte)),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let changes = vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), change()), 0..12);
    (skeleton(), 0_usize..2, 0_u8..6, changes).prop_map(|(skeleton, grow, count, changes)| Step {
        skeleton,
        grow,
        count,
        changes,
    })
}

pub fn state() -> impl Strategy<Value = State> {
    (vec(0_usize..3, 0..3), step()).prop_map(|(sizes, step)| {
        let memories = sizes.into_iter().map(|pages| vec![0; pages * WASM_PAGE]).collect();
        after(&State::new(Skeleton::default(), memories), &step)
    })
}

pub fn after(state: &State, step: &Step) -> State {
    let mut memories = state.memories.clone();
    match step.count {
        0 if !memories.is_empty() => memories.push(Vec::new()),
        1 if memories.len() > 1 => drop(memories.pop()),
        _ => {}
    }
    if let Some(memory) = memories.last_mut() {
        memory.resize(memory.len() + step.grow * WASM_PAGE, 0);
    }
    for (memory, page, change) in &step.changes {
        if memories.is_empty() {
            break;
        }
        let at = memory.index(memories.len());
        let pages = memories[at].as_chunks_mut::<PAGE>().0;
        if pages.is_empty() {
            continue;
        }
        let page = &mut pages[page.index(pages.len())];
        match change {
            Change::Clear => *page = [0; PAGE],
            Change::Set(at, byte) => page[usize::from(*at)] = *byte,
            Change::Fill(byte) => *page = [*byte; PAGE],
            Change::Scatter(step, byte) => page.iter_mut().step_by(*step).for_each(|place| *place ^= byte),
        }
    }
    State::new(step.skeleton.clone(), memories)
}
