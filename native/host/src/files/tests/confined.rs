//! Paths that must not lead out of the directory at which they start.

use super::super::path::{At, Target};
use super::*;
use proptest::prelude::*;

const NAMES: [&str; 8] = ["a", "b", "l", "m", ".", "..", "../..", "/a"];

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(0..NAMES.len(), 1..6).prop_map(|names| {
        let names: Vec<&str> = names.into_iter().map(|name| NAMES[name]).collect();
        names.join("/")
    })
}

proptest! {
    /// Whatever the links are, a path that is confined to a directory ends within it, or at the error of one that does not; and
    /// it ends where the same path ends that is not confined.
    #[test]
    fn a_confined_path_stays_within(
        made in proptest::collection::vec((any::<bool>(), path(), path()), 1..12),
        paths in proptest::collection::vec(path(), 1..12),
        at in 0_usize..4,
    ) {
        let mut files = Files::new();
        for directory in ["/a", "/a/b", "/a/b/a", "/b"] {
            super::directory(&mut files, directory);
        }
        for (is_link, path, target) in &made {
            let path = format!("/a/{path}");
            let _ = if *is_link {
                files.make_symlink(target.as_bytes(), HERE, path.as_bytes(), NOW)
            } else {
                files.make_directory(HERE, path.as_bytes(), 0o777, NOW)
            };
        }
        let top = ["/a", "/a/b", "/b", "/"][at];
        let fd = files.open(HERE, top.as_bytes(), O_DIRECTORY, 0, NOW).unwrap();
        let inode = files.stat_open(fd).unwrap().inode;
        for path in paths {
            for follow in [Follow::Never, Follow::WithSlash, Follow::Always] {
                let confined = files.walk(At::Beneath(fd), path.as_bytes(), follow);
                let free = files.walk(fd, path.as_bytes(), follow);
                match confined {
                    Ok(found) => {
                        let free = free.map_err(|_| TestCaseError::fail("only the confined one ends"))?;
                        prop_assert_eq!((found.target, found.directory), (free.target, free.directory));
                        prop_assert!(files.tree.is_within(found.directory, inode, || Ok(())).unwrap(), "{} {}", top, path);
                        if let Target::Node(node) = found.target
                            && files.tree.directory(node).is_ok()
                        {
                            prop_assert!(files.tree.is_within(node, inode, || Ok(())).unwrap(), "{} {}", top, path);
                        }
                    }
                    Err(Errno::PERM) => {}
                    Err(errno) => prop_assert_eq!(Some(errno), free.err()),
                }
            }
        }
    }
}

#[test]
fn nothing_is_done_outside() {
    let mut files = Files::new();
    directory(&mut files, "/box");
    file(&mut files, "/secret", b"text");
    files.make_symlink(b"/secret", HERE, b"/box/absolute", NOW).unwrap();
    files.make_symlink(b"../secret", HERE, b"/box/relative", NOW).unwrap();
    files.make_symlink(b"/proc/self/fd/4", HERE, b"/box/descriptor", NOW).unwrap();
    let fd = files.open(HERE, b"/box", O_DIRECTORY, 0, NOW).unwrap();
    let at = At::Beneath(fd);
    for path in [&b"absolute"[..], b"relative", b"descriptor", b"../secret", b"/secret", b"..", b"relative/"] {
        let text = String::from_utf8_lossy(path);
        assert_eq!(files.open(at, path, 0, 0, NOW), Err(Errno::PERM), "{text}");
        assert_eq!(files.open(at, path, O_CREAT | O_WRONLY, 0o666, NOW), Err(Errno::PERM), "{text}");
        assert_eq!(files.stat(at, path, 0), Err(Errno::PERM), "{text}");
    }
    assert_eq!(files.unlink(at, b"../secret", NOW), Err(Errno::PERM));
    assert_eq!(files.rename((at, b"relative"), (at, b"../moved"), NOW), Err(Errno::PERM));
    assert_eq!(files.link((at, b"../secret"), (at, b"mine"), 0, NOW), Err(Errno::PERM));
    assert_eq!(files.make_symlink(b"x", at, b"../link", NOW), Err(Errno::PERM));
    assert_eq!(files.make_directory(at, b"../made", 0o777, NOW), Err(Errno::PERM));
    assert_eq!(files.remove_directory(at, b"../tmp", NOW), Err(Errno::PERM));
    // The links themselves are within.
    assert_eq!(files.read_link(at, b"absolute"), Ok(b"/secret".to_vec()));
    assert_eq!(files.unlink(at, b"relative", NOW), Ok(()));
    assert_eq!(contents(&mut files, "/secret"), Ok(b"text".to_vec()));
}

/// Nothing leads out of the root: links that are there may be absolute.
#[test]
fn all_links_lead_somewhere_below_the_root() {
    let mut files = Files::new();
    let fd = files.open(HERE, b"/", O_DIRECTORY, 0, NOW).unwrap();
    assert!(files.open(At::Beneath(fd), b"dev/stdout", O_WRONLY, 0, NOW).is_ok());
    assert_eq!(files.open(At::Beneath(fd), b"..", 0, 0, NOW), Err(Errno::PERM));
}
