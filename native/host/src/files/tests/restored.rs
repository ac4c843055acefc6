//! Random programs on descriptors: one that is encoded and decoded after each step sees what the other one sees.

use super::*;
use proptest::prelude::*;

const PATHS: [&[u8]; 6] = [b"/a", b"b", b"/tmp/c", b"/a/d", b"../proc/self/fd/4", b"/link"];

/// What to do, with two numbers that mean something to it.
fn step(files: &mut Files, what: u8, first: usize, second: i32) -> String {
    let path = PATHS[first % PATHS.len()];
    let other = PATHS[second as usize % PATHS.len()];
    let fd = first as i32;
    let mut bytes = [0; 16];
    match what {
        0 => format!(
            "{:?}",
            files.open(HERE, path, [NEW, 0, O_RDWR | O_APPEND, O_PATH][second as usize % 4], 0o644, NOW)
        ),
        1 => format!("{:?}", files.close(fd)),
        2 => format!("{:?}", files.write(fd, &[second as u8; 9], NOW)),
        3 => format!("{:?} {bytes:?}", files.read(fd, &mut bytes)),
        4 => format!("{:?}", files.seek(fd, (second * 1000).into(), second % 3)),
        5 => format!("{:?}", files.duplicate_as(fd, second, 0)),
        6 => format!("{:?}", files.unlink(HERE, path, NOW)),
        7 => format!("{:?}", files.make_directory(HERE, path, 0o777, NOW)),
        8 => format!("{:?}", files.link((HERE, path), (HERE, other), 0, NOW)),
        9 => format!("{:?}", files.rename((HERE, path), (HERE, other), NOW)),
        10 => format!("{:?} {:?}", files.change_directory(path), files.working_directory()),
        11 => format!("{:?}", files.make_symlink(other, HERE, path, NOW)),
        12 => format!("{:?}", files.truncate_open(fd, (second * 700).into(), NOW)),
        13 => format!("{:?}", files.remove_directory(HERE, path, NOW)),
        14 => format!("{:?} {:?}", files.stat_open(fd), files.read_link(HERE, path)),
        15 => match files.to_map(fd, second.into(), true) {
            Ok(place) => format!("{:?}", files.map(first as u64 * 4, 6, place)),
            Err(errno) => format!("{errno:?}"),
        },
        16 => match files.mapped(second as u64 * 4) {
            Some((place, size)) => {
                let size = files.within_file(place, size).unwrap();
                format!("{place:?} {size} {:?}", files.write_mapped(place, &[7; 6][..size as usize], NOW))
            }
            None => "none".into(),
        },
        17 => {
            files.unmap(second as u64 * 4);
            String::new()
        }
        18 => format!("{:?}", files.preopen(path.strip_prefix(b"../").unwrap_or(path))),
        19 => format!("{:?} {:?}", files.renumber(fd, second), files.preopened(second)),
        20 => format!("{:?}", files.make_pipe([0, O_CLOEXEC | O_NONBLOCK][first % 2], NOW)),
        21 => format!("{:?}", files.write(fd, &vec![second as u8; 3000 * first], NOW)),
        22 => {
            let mut bytes = vec![0; 2500 * second as usize];
            format!("{:?} {bytes:?} {:?} {:?}", files.read(fd, &mut bytes), files.ready(fd), files.readable(fd))
        }
        _ => {
            let mut left = second;
            let mut names = Vec::new();
            let result = files.list(fd, |entry| {
                left -= 1;
                names.push((entry.name.to_vec(), entry.inode));
                left >= 0
            });
            format!("{result:?} {names:?}")
        }
    }
}

proptest! {
    #[test]
    fn nothing_changes_by_being_restored(steps in proptest::collection::vec((0_u8..24, 0_usize..8, 0_i32..8), 1..80)) {
        let (mut files, mut restored) = (Files::new(), Files::new());
        for (what, first, second) in steps {
            prop_assert_eq!(step(&mut files, what, first, second), step(&mut restored, what, first, second));
            check(&restored);
            restored = Files::decode(&encoded(&restored)).unwrap();
            prop_assert_eq!(&files, &restored);
        }
    }
}
