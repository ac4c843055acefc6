//! Encodings that are damaged.

use super::*;
use proptest::prelude::*;

/// A file system with something of everything.
fn sample() -> Files {
    let mut files = Files::new();
    directory(&mut files, "/a");
    directory(&mut files, "/a/b");
    file(&mut files, "/a/long", &[7; 5000]);
    file(&mut files, "/a/longer", &[8; 9000]);
    file(&mut files, "/a/b/short", b"short");
    files.link((HERE, b"/a/b/short"), (HERE, b"/a/same"), 0, NOW).unwrap();
    files.make_symlink(b"../a/b", HERE, b"/a/link", NOW).unwrap();
    directory(&mut files, "/gone");
    files.change_directory(b"/gone").unwrap();
    files.remove_directory(HERE, b"/gone", NOW).unwrap();
    let fd = files.open(HERE, b"/unlinked", NEW | O_APPEND, 0o600, NOW).unwrap();
    files.write(fd, b"still there", NOW).unwrap();
    files.unlink(HERE, b"/unlinked", NOW).unwrap();
    files.duplicate(fd, 10, true).unwrap();
    let fd = files.open(HERE, b"/a", 0, 0, NOW).unwrap();
    list_open(&mut files, fd, 3);
    files
}

/// The same with files that are mapped.
fn mapped() -> Files {
    let mut files = sample();
    for (address, path) in [(0x10_000, &b"/a/long"[..]), (0x20_000, b"/a/b/short")] {
        let fd = files.open(HERE, path, O_RDWR, 0, NOW).unwrap();
        let place = files.to_map(fd, 2, true).unwrap();
        files.map(address, 100, place).unwrap();
        files.close(fd).unwrap();
    }
    files.unlink(HERE, b"/a/long", NOW).unwrap();
    files
}

#[test]
fn mappings_make_another_version() {
    let (without, with) = (encoded(&sample()), encoded(&mapped()));
    assert_eq!((&without[..8], &with[..8]), (&b"files 01"[..], &b"files 02"[..]));
    assert_eq!(with[48], 2);
    let mut files = mapped();
    check(&files);
    files.unmap(0x10_000);
    files.unmap(0x20_000);
    assert_eq!(&encoded(&files)[..8], b"files 01");
    check(&files);
}

#[test]
fn long_contents_start_at_pages() {
    let files = sample();
    check(&files);
    let bytes = encoded(&files);
    assert_eq!(bytes.len() % 4096, 0);
    let page = bytes.iter().position(|byte| *byte == 7).map(|at| bytes[at..].iter().take_while(|b| **b == 7).count());
    assert!(page.is_some());
    let pages: Vec<_> = bytes.chunks(4096).map(|page| page[..904].iter().all(|byte| *byte == 7)).collect();
    assert_eq!(pages, [false, true, true, false, false, false]);
}

#[test]
fn no_byte_can_be_missing() {
    for bytes in [encoded(&sample()), encoded(&mapped())] {
        for size in (0..bytes.len()).step_by(7) {
            assert!(Files::decode(&bytes[..size]).is_err());
        }
        assert!(Files::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(Files::decode(&[&bytes[..], &[0; 4096]].concat()).is_err());
    }
}

/// Does one of everything: what was decoded must not make it panic or go on for ever.
fn exercise(files: &mut Files) {
    for path in [&b"/a"[..], b"/a/b", b"/a/link/short", b"..", ".".as_bytes(), b"/a/same", b"/proc/self/fd/3", b"/dev"]
    {
        let _ = files.stat(HERE, path, 0);
        let _ = files.read_link(HERE, path);
        let _ = files.make_directory(HERE, path, 0o777, NOW);
        let _ = files.make_directory(HERE, &[path, b"/new"].concat(), 0o777, NOW);
        let _ = files.rename((HERE, path), (HERE, b"/a/b/moved"), NOW);
        let _ = files.rename((HERE, b"/a/b"), (HERE, path), NOW);
        let _ = files.link((HERE, path), (HERE, b"linked"), 0, NOW);
        let _ = files.truncate(path, 100, NOW);
    }
    for fd in 0..12 {
        let _ = files.list(fd, |_| true);
        let _ = files.write(fd, b"some", NOW);
        let _ = files.read(fd, &mut [0; 10]);
        let _ = files.seek(fd, 3, SEEK_CUR);
        let _ = files.change_directory_to(fd);
        let _ = files.working_directory();
        let _ = files.close(fd);
    }
    for address in [0, 0x10_000, 0x20_001, u64::MAX] {
        if let Some((place, size)) = files.mapped(address) {
            let size = files.within_file(place, size).unwrap().min(10);
            let _ = files.read_mapped(place, &mut [0; 10]);
            let _ = files.write_mapped(place, &b"0123456789"[..size as usize], NOW);
        }
        files.unmap(address);
    }
    let _ = files.unlink(HERE, b"/a/b/short", NOW);
    let _ = files.remove_directory(HERE, b"/a/b", NOW);
    check(files);
}

#[test]
fn every_damaged_byte_is_noticed_or_harmless() {
    for files in [sample(), mapped()] {
        let bytes = encoded(&files);
        let end = 48 + 80 * files.tree.nodes.len() + 1200;
        for at in 0..end.min(bytes.len()) {
            for change in [1, 0x40, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= change;
                if let Ok(mut files) = Files::decode(&bytes) {
                    assert_eq!(encoded(&files), bytes);
                    exercise(&mut files);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_decoded_works(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let mut whole = encoded(&sample());
        prop_assert!(Files::decode(&bytes).is_err());
        whole[48..48 + bytes.len()].copy_from_slice(&bytes);
        let _ = Files::decode(&whole);
    }

    #[test]
    fn several_damaged_numbers_do_no_harm(
        is_mapped: bool,
        changes in proptest::collection::vec((0_usize..2400, prop_oneof![0_u8..20, any::<u8>()]), 1..6),
    ) {
        let mut bytes = encoded(&if is_mapped { mapped() } else { sample() });
        for (at, value) in changes {
            bytes[at] = value;
        }
        if let Ok(mut files) = Files::decode(&bytes) {
            prop_assert_eq!(encoded(&files), bytes);
            exercise(&mut files);
        }
    }
}
