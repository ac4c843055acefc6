//! How long snapshots of a typical AO process take: 12 MB of memory, of which 410 scattered pages are not zero.
//! `cargo test --release -p hb_wasm64_engine --test snapshot speed -- --ignored --nocapture`

use super::support::{IMAGE, LIMITS, State, WASM_PAGE};
use hb_wasm64_engine::snapshot::{Kind, Memory, PAGE, Plan, Rest, Snapshot, resolve};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};
use twox_hash::XxHash3_128;

const PAGES: usize = 12 << 20 >> 12;
const USED: usize = 410;
const MARKED: usize = 214;
const RUNS: usize = 300;

fn state(seed: u64) -> (State, Vec<Range<usize>>) {
    let mut memory = vec![0; PAGES * PAGE];
    assert_eq!(memory.len() % WASM_PAGE, 0);
    let mut random = seed;
    let mut ranges = Vec::new();
    for number in 0..USED {
        let at = number * PAGES / USED * PAGE;
        for word in memory[at..at + PAGE].as_chunks_mut::<8>().0 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Small numbers and pointers, as guests hold them.
            *word = if random >> 62 == 0 { random >> 40 } else { random >> 60 }.to_le_bytes();
        }
        ranges.push(at..at + PAGE);
    }
    (State::new(Rest::default(), vec![memory]), ranges)
}

fn mark(state: &State, ranges: &[Range<usize>]) -> State {
    let mut state = state.clone();
    let mut random = 7_u64;
    let spread = |number: &usize| number * MARKED / USED != (number + 1) * MARKED / USED;
    for range in (0..USED).filter(spread).map(|number| ranges[number].clone()) {
        for object in state.memories[0][range].chunks_mut(PAGE.div_ceil(60)) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            object[(random >> 33) as usize % object.len()] ^= 3;
        }
    }
    state
}

fn measure<T>(what: &str, mut run: impl FnMut() -> T) {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let kept = run();
            let time = start.elapsed();
            drop(black_box(kept));
            time
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e3;
    println!("{what:44} {:8.3} ms (fastest {:.3}, 90 % {:.3})", at(50), at(0), at(90));
}

#[test]
#[ignore = "measures"]
fn speed() {
    let (state, ranges) = state(1);
    let bytes = &state.memories[0];
    let plan = |kind| Plan::new(&IMAGE, &state.rest, &[Memory { bytes, candidates: &ranges }], kind).unwrap();
    let all = std::slice::from_ref(&(0..bytes.len())).to_vec();

    measure("SHA-256 of 1.6 MB at once", || Sha256::digest(&bytes[..USED * PAGE]));
    measure("SHA-256 of the pages", || {
        ranges.iter().map(|range| Sha256::digest(&bytes[range.clone()])[0]).fold(0, u8::wrapping_add)
    });
    measure("XXH3-128 of the pages", || {
        ranges.iter().map(|range| XxHash3_128::oneshot(&bytes[range.clone()])).fold(0, u128::wrapping_add)
    });
    measure("first write to the pages in new memory", || {
        let mut memory = vec![0_u8; PAGES * PAGE];
        ranges.iter().for_each(|range| memory[range.start] = black_box(1));
        memory
    });
    measure("full: plan", || plan(Kind::Full).size());
    measure("full: plan, all of the memory a candidate", || {
        Plan::new(&IMAGE, &state.rest, &[Memory { bytes, candidates: &all }], Kind::Full).unwrap().size()
    });
    let mut buffer = vec![0; plan(Kind::Full).size()];
    measure("full: plan, write into a used buffer", || plan(Kind::Full).write(&mut buffer).unwrap());
    measure("full: plan, write into a new buffer", || {
        let plan = plan(Kind::Full);
        let mut file = vec![0; plan.size()];
        plan.write(&mut file).unwrap();
        file
    });
    measure("full: plan, compress (level 1)", || plan(Kind::Full).compress(1).unwrap());
    measure("full: plan, compress (level 3)", || plan(Kind::Full).compress(3).unwrap());

    let full = state.write(Kind::Full).0;
    let compressed = state.compress(Kind::Full).0;
    println!("{} bytes, compressed {}", full.len(), compressed.len());
    let mut next = state.clone();
    for number in 0..30 {
        next.memories[0][number * 13 * PAGES / USED * PAGE + 77] ^= 1;
    }
    let (delta, _) = next.delta(std::slice::from_ref(&full));
    for (what, base) in [("plain", &full), ("compressed", &compressed)] {
        let mut buffer = vec![0; delta.len()];
        measure(&format!("delta, 30 changed, {what} base: all"), || {
            let snapshot = [Snapshot::parse(base, &LIMITS).unwrap()];
            let base = resolve(&snapshot).unwrap();
            let memory = Memory { bytes: &next.memories[0], candidates: &ranges };
            let plan = Plan::new(&IMAGE, &next.rest, &[memory], Kind::Delta(&base)).unwrap();
            plan.write(&mut buffer).unwrap()
        });
        let snapshot = [Snapshot::parse(base, &LIMITS).unwrap()];
        let base = resolve(&snapshot).unwrap();
        measure(&format!("delta, 30 changed, {what} base: plan, write"), || {
            let memory = Memory { bytes: &next.memories[0], candidates: &ranges };
            let plan = Plan::new(&IMAGE, &next.rest, &[memory], Kind::Delta(&base)).unwrap();
            plan.write(&mut buffer).unwrap()
        });
    }
    // What the garbage collector of a guest does between two calls: a byte here and there, in half of the pages.
    let marked = mark(&state, &ranges);
    let (mark_delta, _) = marked.delta(std::slice::from_ref(&full));
    let percent = 100.0 * mark_delta.len() as f64 / full.len() as f64;
    println!("{MARKED} pages marked: {} bytes, {percent:.1} % of the full one", mark_delta.len());
    let after = |chain: &[&Vec<u8>], what: &str, next: &State| {
        let chain: Vec<Snapshot> = chain.iter().map(|file| Snapshot::parse(file, &LIMITS).unwrap()).collect();
        let base = resolve(&chain).unwrap();
        let mut buffer = Vec::new();
        measure(&format!("delta, {MARKED} marked, on {what}: plan, write"), || {
            let memory = Memory { bytes: &next.memories[0], candidates: &ranges };
            let plan = Plan::new(&IMAGE, &next.rest, &[memory], Kind::Delta(&base)).unwrap();
            buffer.resize(plan.size(), 0);
            plan.write(&mut buffer).unwrap()
        });
    };
    after(&[&full], "full", &marked);
    after(&[&compressed], "compressed", &marked);
    after(&[&full, &mark_delta], "full and delta", &state);
    let merge = [&full, &mark_delta].map(|file| Snapshot::parse(file, &LIMITS).unwrap());
    let mut merged = vec![0; resolve(&merge).unwrap().merged_size().unwrap()];
    measure("merge full and marked", || resolve(&merge).unwrap().merge_into(&mut merged).unwrap());
    measure("parse and resolve", || {
        resolve(&[Snapshot::parse(&full, &LIMITS).unwrap()]).map(|state| state.page_count(0))
    });
    for (what, chain) in [
        ("full", vec![&full]),
        ("full and delta", vec![&full, &delta]),
        ("full, marked", vec![&full, &mark_delta]),
        ("compressed", vec![&compressed]),
    ] {
        let restore = |memory: &mut [u8]| {
            let chain: Vec<Snapshot> = chain.iter().map(|file| Snapshot::parse(file, &LIMITS).unwrap()).collect();
            resolve(&chain).unwrap().restore_into(0, memory, &[]).unwrap();
        };
        let mut memory = vec![0; PAGES * PAGE];
        measure(&format!("restore {what}: all, into used memory"), || restore(&mut memory));
        measure(&format!("restore {what}: all, into new memory"), || {
            let mut memory = vec![0; PAGES * PAGE];
            restore(&mut memory);
            memory
        });
    }
}
