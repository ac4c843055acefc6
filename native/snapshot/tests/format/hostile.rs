//! Files made by hand, with checks and ids that fit: what is wrong with each is in the rules of the format only.

use super::support::{IMAGE, LIMITS, State, WASM_PAGE, entries, merge_compressed, read, resolved};
use hb_wasm64_snapshot::{Cancellation, Kind, Limits, PAGE, Plan, Skeleton, Snapshot, SnapshotError};
use sha2::{Digest, Sha256};
use twox_hash::XxHash3_128;

/// The index of a page, bytes of its record, and its hash.
type Entry = (u64, u16, [u8; 16]);

const DELTA: u16 = 1;
const ZSTD: u16 = 2;
const PARTIAL: u16 = 4;

/// A file in parts.
#[derive(Clone)]
struct File {
    flags: u16,
    image: [u8; 32],
    id: [u8; 32],
    base: [u8; 32],
    skeleton: Vec<u8>,
    table: Vec<u8>,
    data: Vec<u8>,
}

impl File {
    /// A snapshot of memories of one 64 KiB page each, with an id that fits unless pages are marked as zero.
    fn new(flags: u16, memories: &[&[Entry]], data: &[u8]) -> File {
        let mut skeleton = (memories.len() as u32).to_le_bytes().to_vec();
        memories.iter().for_each(|_| skeleton.extend((WASM_PAGE as u64).to_le_bytes()));
        skeleton.extend([0; 16]);
        File::with_skeleton(flags, skeleton, memories, data)
    }

    fn with_skeleton(flags: u16, skeleton: Vec<u8>, memories: &[&[Entry]], data: &[u8]) -> File {
        let mut id = Sha256::new();
        id.update(b"hb_wasm64 state");
        id.update([u8::from(flags & PARTIAL != 0)]);
        id.update(IMAGE);
        id.update((skeleton.len() as u64).to_le_bytes());
        id.update(&skeleton);
        let mut table = Vec::new();
        for (memory, entries) in memories.iter().enumerate() {
            table.extend((entries.len() as u64).to_le_bytes());
            for (page, length, hash) in *entries {
                table.extend(page.to_le_bytes());
                table.extend(length.to_le_bytes());
                table.extend(hash);
                id.update((memory as u32).to_le_bytes());
                id.update(page.to_le_bytes());
                id.update(hash);
            }
        }
        File { flags, image: IMAGE, id: id.finalize().into(), base: [0; 32], skeleton, table, data: data.to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = b"\x89HBW\r\n\x1a\n\x01\0".to_vec();
        file.extend(self.flags.to_le_bytes());
        file.extend((self.skeleton.len() as u32).to_le_bytes());
        file.extend((self.table.len() as u64).to_le_bytes());
        file.extend((self.data.len() as u64).to_le_bytes());
        file.extend([self.image, self.id, self.base].concat());
        file.extend(&self.skeleton);
        file.extend(&self.table);
        file.extend(Sha256::digest(&file));
        file.extend(&self.data);
        file
    }
}

fn page(byte: u8) -> [u8; PAGE] {
    [byte; PAGE]
}

fn hash(page: &[u8; PAGE]) -> [u8; 16] {
    XxHash3_128::oneshot(page).to_be_bytes()
}

/// The entry of a page that is full of a byte.
fn whole(index: u64, byte: u8) -> Entry {
    (index, PAGE as u16, hash(&page(byte)))
}

fn zeroed(index: u64) -> Entry {
    (index, 0, [0; 16])
}

fn refused(file: &File) -> SnapshotError {
    let bytes = file.bytes();
    match Snapshot::parse(&bytes, &LIMITS) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

fn malformed(file: &File) -> &'static str {
    match refused(file) {
        SnapshotError::Malformed(what) | SnapshotError::MalformedPage { what, .. } => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_made_by_hand_is_the_file_that_is_written() {
    let mut memory = vec![0; WASM_PAGE];
    memory[2 * PAGE..3 * PAGE].fill(7);
    let state = State::new(Skeleton::default(), vec![memory]);
    let by_hand = File::new(0, &[&[whole(2, 7)]], &page(7)).bytes();
    assert_eq!(state.write(Kind::Full).0, by_hand);
    assert_eq!(read(&[by_hand]).unwrap(), state);
}

#[test]
fn what_is_no_snapshot_of_this_version_is_told_from_what_is_damaged() {
    let file = File::new(0, &[], &[]).bytes();
    let parse = |file: &[u8]| Snapshot::parse(file, &LIMITS).map(|_| ()).unwrap_err();
    assert_eq!(parse(b"hb_wasm64"), SnapshotError::NotASnapshot);
    assert_eq!(parse(b""), SnapshotError::CutShort { wanted: 128, found: 0 });
    assert_eq!(parse(&file[..127]), SnapshotError::CutShort { wanted: 128, found: 127 });
    assert_eq!(parse(&file[..179]), SnapshotError::CutShort { wanted: 180, found: 179 });
    assert_eq!(parse(&[&file[..], b"\n"].concat()), SnapshotError::TooLong { wanted: 180, found: 181 });
    assert_eq!(parse(&[&file[..8], &[2, 0], &file[10..]].concat()), SnapshotError::Version(2));
    assert_eq!(refused(&File::new(8, &[], &[])), SnapshotError::Flags(8));
    let mut damaged = file.clone();
    damaged[40] ^= 1;
    assert_eq!(parse(&damaged), SnapshotError::Check);
}

#[test]
fn numbers_that_announce_more_than_there_is_are_refused() {
    for at in [12, 16, 24] {
        let mut file = File::new(0, &[&[whole(2, 7)]], &page(7)).bytes();
        file[at..at + 4].fill(0xff);
        assert!(matches!(Snapshot::parse(&file, &LIMITS), Err(SnapshotError::CutShort { .. })));
    }
    let mut file = File::new(0, &[&[whole(2, 7)]], &page(7)).bytes();
    file[16..32].fill(0xff);
    assert!(matches!(Snapshot::parse(&file, &LIMITS), Err(SnapshotError::CutShort { wanted: u64::MAX, .. })));
    // Counts of lists: memories, globals, tables, data segments, element segments, and pages.
    let longer = "a list is longer than the part that it stands in";
    for list in 0..5 {
        let skeleton = [vec![0; 4 * list], vec![0xff; 4]].concat();
        assert_eq!(malformed(&File::with_skeleton(0, skeleton, &[], &[])), longer);
    }
    for count in [u64::MAX, 1 << 60, 2] {
        let mut file = File::new(0, &[&[whole(2, 7)]], &page(7));
        file.table[..8].copy_from_slice(&count.to_le_bytes());
        assert_eq!(malformed(&file), longer);
    }
}

/// A skeleton with one table: its length, and runs of entries.
fn table(length: u32, runs: &[(u32, u32)]) -> Vec<u8> {
    let mut skeleton = [0_u32, 0, 1, 0, length].map(u32::to_le_bytes).concat();
    runs.iter().for_each(|(count, entry)| skeleton.extend([count.to_le_bytes(), entry.to_le_bytes()].concat()));
    skeleton.extend([0; 8]);
    skeleton
}

#[test]
fn runs_are_held_as_runs_and_count_against_the_limit() {
    let skeleton = table(1_000_000, &[(999_999, u32::MAX), (1, 5)]);
    let file = File::with_skeleton(0, skeleton, &[], &[]).bytes();
    let parsed = Snapshot::parse(&file, &LIMITS).unwrap();
    let wanted = entries(std::iter::repeat_n(None, 999_999).chain([Some(5)]));
    assert_eq!(parsed.skeleton().tables, [(0, wanted)]);
    let limit = SnapshotError::Limit { what: "entries in tables", limit: 1_000_000 };
    for length in [1_000_001, u32::MAX] {
        assert_eq!(refused(&File::with_skeleton(0, table(length, &[(length, 1)]), &[], &[])), limit);
    }
    let nothing = Limits { table_entries: 0 };
    assert!(Snapshot::parse(&File::new(0, &[], &[]).bytes(), &nothing).is_ok());
    let two = [0_u32, 0, 2, 0, 600_000, 600_000, 1, 1, 600_000, 600_000, 1, 0, 0].map(u32::to_le_bytes).concat();
    assert_eq!(refused(&File::with_skeleton(0, two, &[], &[])), limit);
}

#[test]
fn a_state_has_one_encoding() {
    let refuse = |words: &[u32]| {
        let skeleton: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        malformed(&File::with_skeleton(0, skeleton, &[], &[]))
    };
    assert_eq!(refuse(&[1, 4096, 0, 0, 0, 0, 0]), "the size of a memory is no multiple of 64 KiB");
    assert_eq!(refuse(&[0, 0, 0, 0, 0, 0]), "bytes after the dropped segments");
    let runs = |length, runs: &[(u32, u32)]| malformed(&File::with_skeleton(0, table(length, runs), &[], &[]));
    assert_eq!(runs(3, &[(0, 1), (3, 1)]), "an empty run of table entries");
    assert_eq!(runs(3, &[(2, 1), (1, 1)]), "two runs of the same table entry side by side");
    assert_eq!(runs(3, &[(2, 1), (2, 2)]), "more table entries than announced");
    assert_eq!(refuse(&[0, 0, 2, 1, 0, 1, 0, 0, 0]), "tables are not in ascending order");
    assert_eq!(refuse(&[0, 0, 2, 1, 0, 0, 0, 0, 0]), "tables are not in ascending order");
    for segments in [&[0, 0, 0, 2, 4, 4, 0][..], &[0, 0, 0, 0, 2, 5, 4]] {
        assert_eq!(refuse(segments), "dropped segments are not in ascending order");
    }
    let globals = |list: &[u8]| {
        let skeleton = [&[0, 0, 0, 0, 2, 0, 0, 0], list, &[0; 12]].concat();
        malformed(&File::with_skeleton(0, skeleton, &[], &[]))
    };
    assert_eq!(globals(&[1, 0, 0, 0, 0, 1, 0, 0, 0, 0]), "globals are not in ascending order");
    assert_eq!(globals(&[1, 0, 0, 0, 7, 2, 0, 0, 0, 0]), "a global of an unknown type");
}

#[test]
fn pages_stand_once_in_order_within_their_memory_and_are_not_zero() {
    let two = [page(7), page(7)].concat();
    let refuse = |entries: &[Entry]| malformed(&File::new(0, &[entries], &two));
    assert_eq!(refuse(&[whole(2, 7), whole(1, 7)]), "is out of order");
    assert_eq!(refuse(&[whole(2, 7), whole(2, 7)]), "is out of order");
    assert_eq!(refuse(&[whole(2, 7), whole(16, 7)]), "lies beyond the end of the memory");
    assert_eq!(refuse(&[whole(2, 7), whole(u64::MAX, 7)]), "lies beyond the end of the memory");
    assert_eq!(refuse(&[whole(2, 7), zeroed(3)]), "is marked as zero, but not in a delta");
    assert_eq!(refuse(&[whole(2, 7)]), "more or less page data than the page table wants");
    assert_eq!(refuse(&[whole(1, 7), whole(2, 7), whole(3, 7)]), "more or less page data than the page table wants");
    let mut file = File::new(0, &[&[whole(2, 7)]], &page(7));
    file.table.push(0);
    assert_eq!(malformed(&file), "bytes after the page table");
    let file = File::new(PARTIAL, &[&[whole(2, 7)], &[]], &page(7));
    assert_eq!(malformed(&file), "pages of memory 0 in a partial snapshot");
    assert_eq!(
        refused(&File::new(0, &[&[], &[(5, 4095, [1; 16])]], &[0; 4095])).to_string(),
        "malformed: page 5 of memory 1 is a patch, but not in a delta"
    );
    assert_eq!(refuse(&[(5, 4097, [1; 16])]), "has a record that is longer than a page");
    assert_eq!(refuse(&[(5, u16::MAX, [1; 16])]), "has a record that is longer than a page");
    let marked = File { base: [1; 32], ..File::new(DELTA, &[&[(5, 0, [1; 16])]], &[]) };
    assert_eq!(malformed(&marked), "is marked as zero, but has a hash");
}

#[test]
fn a_page_of_zeros_stops_the_restore() {
    let zero = File::new(0, &[&[], &[whole(5, 0)]], &page(0)).bytes();
    let stored = SnapshotError::MalformedPage { memory: 1, page: 5, what: "is zero, but stored" };
    assert_eq!(read(&[zero]).unwrap_err(), stored);
    assert_eq!(stored.to_string(), "malformed: page 5 of memory 1 is zero, but stored");
}

#[test]
fn a_page_that_is_not_what_its_hash_says_stops_the_restore() {
    let file = File::new(0, &[&[whole(2, 7), whole(4, 8)]], &[page(7), page(9)].concat());
    let error = read(&[file.bytes()]).unwrap_err();
    assert_eq!(error, SnapshotError::DamagedPage { memory: 0, page: 4 });
    assert_eq!(error.to_string(), "page 4 of memory 0 is damaged");
    resolved(&[file.bytes()], |state| {
        assert_eq!(state.verify(), Err(error.clone()));
        assert_eq!(state.merge_into(&mut vec![0; state.merged_size().unwrap()]), Err(error.clone()));
        assert_eq!(merge_compressed(state, 3), Err(error));
    })
    .unwrap();
}

#[test]
fn an_id_that_names_another_state_is_refused() {
    let mut file = File::new(0, &[&[whole(2, 7)]], &page(7));
    file.id[31] ^= 1;
    assert_eq!(read(&[file.bytes()]), Err(SnapshotError::OtherState));
    // Partial or not, the id differs.
    let mut file = File::new(PARTIAL, &[], &[]);
    file.flags = 0;
    assert_eq!(read(&[file.bytes()]), Err(SnapshotError::OtherState));
}

fn full() -> File {
    File::new(0, &[&[whole(2, 7), whole(3, 8)]], &[page(7), page(8)].concat())
}

/// A delta of [`full`] with these entries, that leads to a state with those pages.
fn delta(entries: &[Entry], pages: &[Entry], data: &[u8]) -> File {
    let (id, base) = (File::new(0, &[pages], &[]).id, full().id);
    File { id, base, ..File::new(DELTA, &[entries], data) }
}

#[test]
fn only_files_that_follow_each_other_are_a_chain() {
    let next = delta(&[zeroed(2)], &[whole(3, 8)], &[]);
    let (first, second) = (full().bytes(), next.bytes());
    assert_eq!(read(&[first.clone(), second.clone()]).unwrap().memories[0][3 * PAGE], 8);
    let chain = |files: &[&Vec<u8>]| read(&files.iter().map(|file| file.to_vec()).collect::<Vec<_>>()).unwrap_err();
    assert_eq!(chain(&[]), SnapshotError::NoSnapshot);
    assert_eq!(chain(&[&second]), SnapshotError::NoBase);
    assert_eq!(chain(&[&first, &first]), SnapshotError::NoDelta);
    // Twice the same, the other way round, and round in a circle.
    assert_eq!(chain(&[&first, &second, &second]), SnapshotError::OtherBase);
    assert_eq!(chain(&[&second, &first]), SnapshotError::NoBase);
    let back = File { base: next.id, id: full().id, ..delta(&[whole(2, 7)], &[], &page(7)) }.bytes();
    assert_eq!(read(&[first.clone(), second.clone(), back.clone()]), read(std::slice::from_ref(&first)));
    assert_eq!(chain(&[&back, &second]), SnapshotError::NoBase);
    assert_eq!(chain(&[&first, &back]), SnapshotError::OtherBase);
    let other = File { image: [9; 32], ..next.clone() }.bytes();
    assert_eq!(chain(&[&first, &other]), SnapshotError::OtherImage);
    let partial = File { flags: DELTA | PARTIAL, ..File::new(PARTIAL, &[&[]], &[]) };
    assert_eq!(chain(&[&first, &File { base: full().id, ..partial }.bytes()]), SnapshotError::OtherBase);
    // One more memory is another state, though there is nothing in it.
    let more = File { base: full().id, id: full().id, ..File::new(DELTA, &[&[], &[]], &[]) };
    assert_eq!(chain(&[&first, &more.bytes()]), SnapshotError::OtherState);
    assert_eq!(malformed(&File { base: [1; 32], ..full() }), "a base that no delta was made against");
}

#[test]
fn a_page_that_was_zero_already_cannot_be_marked_so() {
    let zero = delta(&[zeroed(5)], &[whole(2, 7), whole(3, 8)], &[]);
    let what = "is marked as zero, but was so before";
    let refused = read(&[full().bytes(), zero.bytes()]);
    assert_eq!(refused, Err(SnapshotError::MalformedPage { memory: 0, page: 5, what }));
}

/// A patch of page 2 of [`full`], or of page 5, which that does not have.
fn patched(index: u64, patch: &[u8]) -> (File, [u8; PAGE]) {
    let mut now = page(if index == 2 { 7 } else { 0 });
    (now[0], now[4095]) = (1, 2);
    let entry = (index, patch.len() as u16, hash(&now));
    let whole_entry = (index, PAGE as u16, hash(&now));
    let pages = if index == 2 { vec![whole_entry, whole(3, 8)] } else { vec![whole(2, 7), whole(3, 8), whole_entry] };
    (delta(&[entry], &pages, patch), now)
}

/// Gaps and runs that make the page of [`patched`].
const PATCH: [u8; 7] = [0, 1, 1, 0xfe, 0x1f, 1, 2];

#[test]
fn a_patch_made_by_hand_is_the_one_that_is_written() {
    for index in [2, 5] {
        let (file, now) = patched(index, &PATCH);
        let chain = [full().bytes(), file.bytes()];
        let state = read(&chain).unwrap();
        assert_eq!(state.memories[0][index as usize * PAGE..][..PAGE], now);
        assert_eq!(state.delta(&chain[..1]).0, chain[1]);
        // Something else was there before.
        let mut memory = vec![0x55; WASM_PAGE];
        resolved(&chain, |state| state.restore_into(0, &mut memory, &[])).unwrap().unwrap();
        assert_eq!(memory[index as usize * PAGE..][..PAGE], now);
    }
}

#[test]
fn what_is_no_patch_stops_the_restore() {
    let wrong: [&[u8]; 12] = [
        // Beyond the page: by its gap, by its count, by both, and the bytes of the page after it.
        &[0, 1, 1, 0xff, 0x1f, 1, 2],
        &[0, 1, 1, 0xfe, 0x1f, 2, 2, 2],
        &[0x80, 0x20, 1, 1],
        &[0xff, 0x7f, 1, 1],
        // Numbers that never end, or end later than they could.
        &[0xff; 40],
        &[0x80; 4095],
        &[0x80, 0, 1, 1, 0xfe, 0x1f, 1, 2],
        // Runs without bytes, without all their bytes, and with bytes that are there already.
        &[0, 1, 1, 0xfd, 0x1f, 0, 1, 1, 2],
        &[0, 1, 1, 0xfe, 0x1f, 1],
        &[0, 1, 1],
        // Runs that touch.
        &[0, 1, 9, 0, 1, 1],
        &[0, 1, 1, 0xfe, 0x1f, 1, 2, 0],
    ];
    for index in [2, 5] {
        let damaged = SnapshotError::DamagedPage { memory: 0, page: index };
        for patch in wrong {
            let (file, _) = patched(index, patch);
            let compressed = File { flags: DELTA | ZSTD, data: frame(&file.data, 3), ..file.clone() };
            for file in [file, compressed] {
                let chain = [full().bytes(), file.bytes()];
                assert_eq!(read(&chain), Err(damaged.clone()), "{patch:?}");
                resolved(&chain, |state| {
                    assert_eq!(state.verify(), Err(damaged.clone()));
                    assert_eq!(state.merge_into(&mut vec![0; state.merged_size().unwrap()]), Err(damaged.clone()));
                    assert_eq!(merge_compressed(state, 3), Err(damaged.clone()));
                    let next = State::new(Skeleton::default(), vec![vec![1; WASM_PAGE]]);
                    let planned =
                        Plan::new(&IMAGE, &next.skeleton, &next.all(), Kind::Delta(state), Cancellation::never())
                            .map(|plan| plan.size());
                    // A patch of what it was not made for can be one that makes another page.
                    assert!(planned == Err(damaged.clone()) || patch == [0, 1, 1], "{patch:?}: {planned:?}");
                })
                .unwrap();
            }
        }
    }
}

#[test]
fn a_patch_of_another_page_than_it_was_made_from_is_noticed() {
    let (file, _) = patched(2, &PATCH);
    let other = File::new(0, &[&[whole(2, 9), whole(3, 8)]], &[page(9), page(8)].concat());
    let chain = [other.bytes(), File { base: other.id, ..file }.bytes()];
    assert_eq!(read(&chain), Err(SnapshotError::DamagedPage { memory: 0, page: 2 }));
}

#[test]
fn tiny_patches_of_many_pages_take_no_room_before_they_are_wanted() {
    // 16 million pages would be 64 GiB. The table alone has 26 bytes for each; here are some thousands.
    let mut skeleton = 1_u32.to_le_bytes().to_vec();
    skeleton.extend((1_u64 << 36).to_le_bytes());
    skeleton.extend([0; 16]);
    let mut one = page(0);
    one[5] = 1;
    let entries: Vec<Entry> = (0..10_000).map(|index| (index * 1600, PAGE as u16, hash(&one))).collect();
    let patches: Vec<Entry> = entries.iter().map(|(index, _, hash)| (*index, 3, *hash)).collect();
    let first = File::with_skeleton(0, skeleton.clone(), &[&[]], &[]);
    let id = File::with_skeleton(0, skeleton.clone(), &[&entries], &[]).id;
    let tiny =
        File { id, base: first.id, ..File::with_skeleton(DELTA, skeleton, &[&patches], &[5, 1, 1].repeat(10_000)) };
    resolved(&[first.bytes(), tiny.bytes()], |state| {
        assert_eq!(state.verify(), Ok(()));
        assert_eq!(state.page_count(0), 10_000);
        assert_eq!(state.merged_size().unwrap(), 128 + 28 + 8 + 10_000 * (26 + PAGE) + 32);
        assert!(merge_compressed(state, 1).unwrap().len() < 1 << 20);
        let wrong = SnapshotError::WrongSize { wanted: 1 << 36, found: 0 };
        assert_eq!(state.restore_into(0, &mut [], &[]), Err(wrong));
    })
    .unwrap();
}

fn frame(bytes: &[u8], level: i32) -> Vec<u8> {
    zstd::bulk::compress(bytes, level).unwrap()
}

#[test]
fn a_frame_holds_the_pages_of_the_table_and_nothing_else() {
    let one = |data: &[u8]| File::new(ZSTD, &[&[whole(2, 7)]], data);
    let good = frame(&page(7), 3);
    assert_eq!(read(&[one(&good).bytes()]).unwrap().memories[0][2 * PAGE], 7);
    let no_frame = "page data that is not exactly one zstd frame";
    assert_eq!(malformed(&one(&[])), no_frame);
    assert_eq!(malformed(&one(&page(7))), no_frame);
    assert_eq!(malformed(&one(&[&good[..], &good[..]].concat())), no_frame);
    assert_eq!(malformed(&one(&[&good[..], &[0]].concat())), no_frame);
    assert_eq!(malformed(&one(&good[..good.len() - 1])), no_frame);
    // A skippable frame before, which decompressors pass over silently.
    let skippable = [&0x184d_2a50_u32.to_le_bytes()[..], &[0; 4]].concat();
    assert_eq!(malformed(&one(&[&skippable[..], &good[..]].concat())), no_frame);
    assert_eq!(malformed(&one(&skippable)), no_frame);
    let announces = "a zstd frame that does not announce the page data of the page table";
    assert_eq!(malformed(&one(&frame(&page(7)[1..], 3))), announces);
    assert_eq!(malformed(&one(&frame(&[page(7), page(7)].concat(), 3))), announces);
    // A frame that does not say how much is in it.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    std::io::Write::write_all(&mut encoder, &page(7)).unwrap();
    assert_eq!(malformed(&one(&encoder.finish().unwrap())), announces);
    assert_eq!(malformed(&File::new(ZSTD, &[&[]], &good)), "more or less page data than the page table wants");
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    // A gigabyte of zeros in 32 kB: what it announces does not fit the table.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.set_pledged_src_size(Some(1 << 30)).unwrap();
    encoder.include_contentsize(true).unwrap();
    (0..1 << 10).for_each(|_| std::io::Write::write_all(&mut encoder, &[0; 1 << 20]).unwrap());
    let mut bomb = encoder.finish().unwrap();
    let announces = "a zstd frame that does not announce the page data of the page table";
    assert_eq!(malformed(&File::new(ZSTD, &[&[whole(2, 7)]], &bomb)), announces);
    // The same with a lie: the eight bytes of its content size say one page.
    let size = bomb.windows(4).position(|bytes| bytes == (1_u32 << 30).to_le_bytes()).unwrap();
    bomb[size..size + 4].copy_from_slice(&(PAGE as u32).to_le_bytes());
    let lie = File::new(ZSTD, &[&[whole(2, 0x11)]], &bomb).bytes();
    assert_eq!(read(&[lie]), Err(SnapshotError::DamagedPage { memory: 0, page: 2 }));
}

#[test]
fn a_frame_that_asks_for_a_large_window_is_refused() {
    let mut skeleton = 1_u32.to_le_bytes().to_vec();
    skeleton.extend((1_u64 << 26).to_le_bytes());
    skeleton.extend([0; 16]);
    let entries: Vec<Entry> = (0..1 << 14).map(|page| whole(page, 7)).collect();
    let contents = page(7).repeat(1 << 14);
    for (window, allowed) in [(23, true), (24, false)] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.set_pledged_src_size(Some(contents.len() as u64)).unwrap();
        std::io::Write::write_all(&mut encoder, &contents).unwrap();
        let file = File::with_skeleton(ZSTD, skeleton.clone(), &[&entries], &encoder.finish().unwrap());
        assert_eq!(resolved(&[file.bytes()], |state| state.verify().is_ok()), Ok(allowed), "{window}");
    }
}
