//! Paths, links, and entries that come, go and move.

use super::*;

#[test]
fn paths_are_walked_as_on_linux() {
    let mut files = Files::new();
    directory(&mut files, "/a");
    directory(&mut files, "/a/b");
    file(&mut files, "/a/f", b"f");
    files.make_symlink(b"b", HERE, b"/a/to_b", NOW).unwrap();
    files.make_symlink(b"/a/f", HERE, b"/a/to_f", NOW).unwrap();
    files.make_symlink(b"nothing", HERE, b"/a/to_nothing", NOW).unwrap();
    files.make_symlink(b"loop", HERE, b"/a/loop", NOW).unwrap();
    let inode = |files: &Files, path: &str| files.stat(HERE, path.as_bytes(), 0).map(|stat| stat.inode);
    let b = inode(&files, "/a/b").unwrap();
    for path in ["/a/b/", "a//b/.", "./a/b/../b", "/a/to_b", "/a/to_b/", "/../a/to_b/../to_b"] {
        assert_eq!(inode(&files, path), Ok(b), "{path}");
    }
    assert_eq!(inode(&files, ""), Err(Errno::NOENT));
    assert_eq!(inode(&files, "/a/f/"), Err(Errno::NOTDIR));
    assert_eq!(inode(&files, "/a/f/.."), Err(Errno::NOTDIR));
    assert_eq!(inode(&files, "/a/to_f/"), Err(Errno::NOTDIR));
    assert_eq!(inode(&files, "/x/y"), Err(Errno::NOENT));
    assert_eq!(inode(&files, "/a/to_nothing"), Err(Errno::NOENT));
    assert_eq!(inode(&files, "/a/loop"), Err(Errno::LOOP));
    assert_eq!(inode(&files, &"x".repeat(256)), Err(Errno::NAMETOOLONG));
    assert_eq!(inode(&files, &"x".repeat(255)), Err(Errno::NOENT));
    assert_eq!(inode(&files, &"/".repeat(4095)), Ok(1));
    assert_eq!(inode(&files, &"/".repeat(4096)), Err(Errno::NAMETOOLONG));
    let link = files.stat(HERE, b"/a/to_b", AT_SYMLINK_NOFOLLOW).unwrap();
    assert_eq!((link.mode, link.size), (S_IFLNK | 0o777, 1));
    assert_eq!(files.stat(HERE, b"/a/to_b/", AT_SYMLINK_NOFOLLOW).unwrap().inode, b);
    check(&files);
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let mut files = Files::new();
    file(&mut files, "/0", b"");
    for link in 1..=41 {
        files.make_symlink((link - 1).to_string().as_bytes(), HERE, link.to_string().as_bytes(), NOW).unwrap();
    }
    assert!(files.stat(HERE, b"/40", 0).is_ok());
    assert_eq!(files.stat(HERE, b"/41", 0), Err(Errno::LOOP));
    assert!(files.stat(HERE, b"/41", AT_SYMLINK_NOFOLLOW).is_ok());
}

#[test]
fn paths_start_at_descriptors() {
    let mut files = Files::new();
    directory(&mut files, "/a");
    file(&mut files, "/a/f", b"f");
    let at = files.open(HERE, b"/a", O_DIRECTORY, 0, NOW).unwrap();
    let f = files.open(at, b"f", 0, 0, NOW).unwrap();
    assert_eq!(files.stat(at, b"f", 0), files.stat_open(f));
    assert_eq!(files.stat(f, b"", AT_EMPTY_PATH), files.stat_open(f));
    assert_eq!(files.stat(f, b"", 0), Err(Errno::NOENT));
    assert_eq!(files.stat(f, b"x", 0), Err(Errno::NOTDIR));
    assert_eq!(files.stat(99, b"x", 0), Err(Errno::BADF));
    assert!(files.stat(99, b"/a", 0).is_ok());
    assert_eq!(files.stat(HERE, b"/a", 1), Err(Errno::INVAL));
}

#[test]
fn entries_that_cannot_be_made_are_not() {
    let mut files = Files::new();
    file(&mut files, "/f", b"");
    files.make_symlink(b"new", HERE, b"/link", NOW).unwrap();
    let make = |files: &mut Files, path: &str| files.make_directory(HERE, path.as_bytes(), 0o777, NOW);
    for path in ["/", "/tmp", "/tmp/", ".", "/tmp/..", "/f", "/f/", "/link", "/link/"] {
        assert_eq!(make(&mut files, path), Err(Errno::EXIST), "{path}");
    }
    assert_eq!(make(&mut files, "/f/x"), Err(Errno::NOTDIR));
    assert_eq!(make(&mut files, "/x/y"), Err(Errno::NOENT));
    assert_eq!(make(&mut files, "/x/"), Ok(()));
    assert_eq!(files.make_symlink(b"", HERE, b"/y", NOW), Err(Errno::NOENT));
    assert_eq!(files.make_symlink(b"a", HERE, b"/y/", NOW), Err(Errno::NOENT));
    assert_eq!(files.open(HERE, b"/y/", NEW, 0, NOW), Err(Errno::ISDIR));
    assert_eq!(files.open(HERE, b"/link", NEW | O_EXCL, 0o600, NOW), Err(Errno::EXIST));
    assert_eq!(files.open(HERE, b"/link", NEW | O_NOFOLLOW, 0o600, NOW), Err(Errno::LOOP));
    assert_eq!(files.open(HERE, b"/link", NEW, 0o600, NOW), Ok(3));
    assert_eq!(files.stat(HERE, b"/new", 0), files.stat_open(3));
    check(&files);
}

#[test]
fn entries_that_cannot_be_removed_are_not() {
    let mut files = Files::new();
    directory(&mut files, "/a");
    file(&mut files, "/a/f", b"");
    let rmdir = |files: &mut Files, path: &str| files.remove_directory(HERE, path.as_bytes(), NOW);
    let unlink = |files: &mut Files, path: &str| files.unlink(HERE, path.as_bytes(), NOW);
    assert_eq!(rmdir(&mut files, "/"), Err(Errno::BUSY));
    assert_eq!(rmdir(&mut files, "/a"), Err(Errno::NOTEMPTY));
    assert_eq!(rmdir(&mut files, "/a/."), Err(Errno::INVAL));
    assert_eq!(rmdir(&mut files, "/a/.."), Err(Errno::NOTEMPTY));
    assert_eq!(rmdir(&mut files, "/a/f"), Err(Errno::NOTDIR));
    assert_eq!(unlink(&mut files, "/a"), Err(Errno::ISDIR));
    assert_eq!(unlink(&mut files, "/a/f/"), Err(Errno::NOTDIR));
    assert_eq!(unlink(&mut files, "/a/g"), Err(Errno::NOENT));
    assert_eq!(unlink(&mut files, "/a/f"), Ok(()));
    assert_eq!(rmdir(&mut files, "/a/"), Ok(()));
    check(&files);
}

#[test]
fn renaming_replaces_what_it_may() {
    let mut files = Files::new();
    for path in ["/a", "/a/b", "/a/b/c", "/empty"] {
        directory(&mut files, path);
    }
    file(&mut files, "/f", b"f");
    file(&mut files, "/g", b"g");
    let rename =
        |files: &mut Files, from: &str, to: &str| files.rename((HERE, from.as_bytes()), (HERE, to.as_bytes()), NOW);
    assert_eq!(rename(&mut files, "/a", "/a/b/x"), Err(Errno::INVAL));
    assert_eq!(rename(&mut files, "/a", "/a/b"), Err(Errno::INVAL));
    assert_eq!(rename(&mut files, "/a/b/c", "/a"), Err(Errno::NOTEMPTY));
    assert_eq!(rename(&mut files, "/a", "/f"), Err(Errno::NOTDIR));
    assert_eq!(rename(&mut files, "/f", "/empty"), Err(Errno::ISDIR));
    assert_eq!(rename(&mut files, "/f", "/x/"), Err(Errno::NOTDIR));
    assert_eq!(rename(&mut files, "/", "/x"), Err(Errno::BUSY));
    assert_eq!(rename(&mut files, "/a/.", "/x"), Err(Errno::BUSY));
    assert_eq!(rename(&mut files, "/x", "/y"), Err(Errno::NOENT));
    let before = files.clone();
    assert_eq!(rename(&mut files, "/f", "/f"), Ok(()));
    assert_eq!(files, before);
    assert_eq!(rename(&mut files, "/f", "/g"), Ok(()));
    assert_eq!(contents(&mut files, "/g"), Ok(b"f".to_vec()));
    assert_eq!(rename(&mut files, "/a/b", "/empty"), Ok(()));
    assert_eq!(list(&mut files, "/empty"), [".", "..", "c"]);
    assert_eq!(files.stat(HERE, b"/a", 0).unwrap().links, 2);
    assert_eq!(files.stat(HERE, b"/empty", 0).unwrap().links, 3);
    assert_eq!(files.stat(HERE, b"/empty/..", 0).unwrap().inode, 1);
    check(&files);
}

#[test]
fn a_node_may_have_many_names() {
    let mut files = Files::new();
    file(&mut files, "/f", b"f");
    files.link((HERE, b"/f"), (HERE, b"/g"), 0, NOW).unwrap();
    assert_eq!(files.link((HERE, b"/f"), (HERE, b"/g"), 0, NOW), Err(Errno::EXIST));
    assert_eq!(files.link((HERE, b"/tmp"), (HERE, b"/h"), 0, NOW), Err(Errno::PERM));
    assert_eq!(files.stat(HERE, b"/f", 0).unwrap().links, 2);
    check(&files);
    // Two names of one node: nothing happens.
    files.rename((HERE, b"/f"), (HERE, b"/g"), NOW).unwrap();
    assert_eq!(files.stat(HERE, b"/f", 0), files.stat(HERE, b"/g", 0));
    files.unlink(HERE, b"/g", NOW).unwrap();
    check(&files);
    assert_eq!(contents(&mut files, "/f"), Ok(b"f".to_vec()));
    files.unlink(HERE, b"/f", NOW).unwrap();
    check(&files);
}

#[test]
fn what_was_removed_stays_while_it_is_open() {
    let mut files = Files::new();
    let empty = files.tree.bytes;
    let fd = files.open(HERE, b"/f", NEW, 0o600, NOW).unwrap();
    files.write(fd, b"text", NOW).unwrap();
    files.unlink(HERE, b"/f", NOW).unwrap();
    check(&files);
    let mut bytes = [0; 8];
    assert_eq!(files.pread(fd, 1, &mut bytes), Ok(3));
    assert_eq!(files.stat_open(fd).unwrap().links, 0);
    assert_eq!(files.link((fd, b""), (HERE, b"/g"), AT_EMPTY_PATH, NOW), Err(Errno::NOENT));
    assert_eq!(files.tree.bytes, empty + 1024 + 4096);
    files.close(fd).unwrap();
    assert_eq!(files.tree.bytes, empty);
    assert_eq!(files.tree.nodes.len(), Files::new().tree.nodes.len());
}

#[test]
fn a_directory_that_was_removed_is_empty_for_ever() {
    let mut files = Files::new();
    directory(&mut files, "/a");
    directory(&mut files, "/a/b");
    files.change_directory(b"/a/b").unwrap();
    assert_eq!(files.working_directory(), Ok(b"/a/b".to_vec()));
    files.remove_directory(HERE, b"/a/b", NOW).unwrap();
    check(&files);
    assert_eq!(files.working_directory(), Err(Errno::NOENT));
    assert_eq!(files.open(HERE, b"f", NEW, 0o600, NOW), Err(Errno::NOENT));
    file(&mut files, "/f", b"");
    assert_eq!(files.rename((HERE, b"/f"), (HERE, b"f"), NOW), Err(Errno::NOENT));
    assert!(files.stat(HERE, b"..", 0).is_ok());
    let fd = files.open(HERE, b".", 0, 0, NOW).unwrap();
    assert_eq!(files.list(fd, |_| true), Err(Errno::NOENT));
    files.remove_directory(HERE, b"/a", NOW).unwrap();
    check(&files);
    assert_eq!(files.stat(HERE, b"..", 0), Err(Errno::NOENT));
    assert_eq!(files.stat_open(fd).unwrap().links, 0);
    files.change_directory(b"/").unwrap();
    files.close(fd).unwrap();
    check(&files);
}

#[test]
fn listings_go_on_while_entries_change() {
    let mut files = Files::new();
    directory(&mut files, "/a");
    for name in ["c", "b", "a"] {
        file(&mut files, &format!("/a/{name}"), b"");
    }
    let fd = files.open(HERE, b"/a", 0, 0, NOW).unwrap();
    assert_eq!(list_open(&mut files, fd, 3), [".", "..", "c"]);
    files.unlink(HERE, b"/a/c", NOW).unwrap();
    files.unlink(HERE, b"/a/b", NOW).unwrap();
    file(&mut files, "/a/c", b"");
    check(&files);
    assert_eq!(list_open(&mut files, fd, 9), ["a", "c"]);
    assert_eq!(list_open(&mut files, fd, 9), Vec::<String>::new());
    files.seek(fd, 0, SEEK_SET).unwrap();
    assert_eq!(list_open(&mut files, fd, 9), [".", "..", "a", "c"]);
}

#[test]
fn permissions_count_whomever_they_are_given_to() {
    let mut files = Files::new();
    file(&mut files, "/f", b"text");
    files.change_mode(HERE, b"/f", 0o444, 0, NOW).unwrap();
    assert_eq!(files.open(HERE, b"/f", O_RDWR, 0, NOW), Err(Errno::ACCES));
    assert_eq!(files.truncate(b"/f", 0, NOW), Err(Errno::ACCES));
    assert_eq!(files.access(HERE, b"/f", 2, 0), Err(Errno::ACCES));
    assert_eq!(files.access(HERE, b"/f", 4, 0), Ok(()));
    assert_eq!(files.access(HERE, b"/f", 8, 0), Err(Errno::INVAL));
    directory(&mut files, "/a");
    files.change_mode(HERE, b"/a", 0o444, 0, NOW).unwrap();
    assert_eq!(files.stat(HERE, b"/a/x", 0), Err(Errno::ACCES));
    files.change_mode(HERE, b"/a", 0o555, 0, NOW).unwrap();
    assert_eq!(files.make_directory(HERE, b"/a/x", 0o777, NOW), Err(Errno::ACCES));
}
