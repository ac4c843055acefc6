//! Random programs, against a model that knows files only by their whole paths.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Operation {
    Make(usize),
    Write(usize, u16, Vec<u8>),
    Truncate(usize, u16),
    Unlink(usize),
    Rmdir(usize),
    Rename(usize, usize),
    Read(usize),
    /// Encodes and decodes.
    Restore,
}

/// `None` is a directory.
type Model = BTreeMap<String, Option<Vec<u8>>>;

const PATHS: [&str; 14] = [
    "/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", "/a/a/a", "/a/a/b", "/b/a/a", "/b/b/b", "/a/b/a", "/c", "/c/a", "/a/c",
];

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let path = || 0..PATHS.len();
    let one = prop_oneof![
        3 => path().prop_map(Operation::Make),
        4 => (path(), 0_u16..6000, proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(path, at, bytes)| Operation::Write(path, at, bytes)),
        1 => (path(), 0_u16..6000).prop_map(|(path, size)| Operation::Truncate(path, size)),
        2 => path().prop_map(Operation::Unlink),
        2 => path().prop_map(Operation::Rmdir),
        3 => (path(), path()).prop_map(|(from, to)| Operation::Rename(from, to)),
        2 => path().prop_map(Operation::Read),
        1 => Just(Operation::Restore),
    ];
    proptest::collection::vec(one, 1..60)
}

/// Whether a path may have an entry: what is wrong with what leads there.
fn leads(model: &Model, path: &str) -> Result<(), Errno> {
    for (at, _) in path.match_indices('/').skip(1) {
        match model.get(&path[..at]) {
            Some(None) => {}
            Some(Some(_)) => return Err(Errno::NOTDIR),
            None => return Err(Errno::NOENT),
        }
    }
    Ok(())
}

fn is_full(model: &Model, path: &str) -> bool {
    let below = format!("{path}/");
    model.keys().any(|key| key.starts_with(&below))
}

fn expected(model: &mut Model, operation: &Operation) -> Result<Vec<u8>, Errno> {
    match operation {
        Operation::Make(path) => {
            let path = PATHS[*path];
            leads(model, path)?;
            if model.contains_key(path) {
                return Err(Errno::EXIST);
            }
            model.insert(path.into(), None);
        }
        Operation::Write(path, at, bytes) => {
            let path = PATHS[*path];
            leads(model, path)?;
            let file = model.entry(path.into()).or_insert(Some(Vec::new())).as_mut().ok_or(Errno::ISDIR)?;
            let end = usize::from(*at) + bytes.len();
            if !bytes.is_empty() {
                file.resize(file.len().max(end), 0);
                file[usize::from(*at)..end].copy_from_slice(bytes);
            }
        }
        Operation::Truncate(path, size) => {
            let path = PATHS[*path];
            leads(model, path)?;
            let file = model.get_mut(path).ok_or(Errno::NOENT)?.as_mut().ok_or(Errno::ISDIR)?;
            file.resize(usize::from(*size), 0);
        }
        Operation::Unlink(path) => {
            let path = PATHS[*path];
            leads(model, path)?;
            model.get(path).ok_or(Errno::NOENT)?.as_ref().ok_or(Errno::ISDIR)?;
            model.remove(path);
        }
        Operation::Rmdir(path) => {
            let path = PATHS[*path];
            leads(model, path)?;
            match model.get(path).ok_or(Errno::NOENT)? {
                Some(_) => return Err(Errno::NOTDIR),
                None if is_full(model, path) => return Err(Errno::NOTEMPTY),
                None => {}
            }
            model.remove(path);
        }
        Operation::Rename(from, to) => {
            let (from, to) = (PATHS[*from], PATHS[*to]);
            leads(model, from)?;
            leads(model, to)?;
            let is_directory = model.get(from).ok_or(Errno::NOENT)?.is_none();
            if to.starts_with(&format!("{from}/")) {
                return Err(Errno::INVAL);
            }
            if from == to {
                return Ok(Vec::new());
            }
            match (is_directory, model.get(to)) {
                (true, Some(Some(_))) => return Err(Errno::NOTDIR),
                (false, Some(None)) => return Err(Errno::ISDIR),
                (true, Some(None)) if is_full(model, to) => return Err(Errno::NOTEMPTY),
                _ => {}
            }
            let below = format!("{from}/");
            let moved: Vec<_> = model.keys().filter(|key| *key == from || key.starts_with(&below)).cloned().collect();
            for key in moved {
                let value = model.remove(&key).unwrap();
                model.insert(format!("{to}{}", &key[from.len()..]), value);
            }
        }
        Operation::Read(path) => {
            let path = PATHS[*path];
            leads(model, path)?;
            return model.get(path).ok_or(Errno::NOENT)?.clone().ok_or(Errno::ISDIR);
        }
        Operation::Restore => {}
    }
    Ok(Vec::new())
}

fn actual(files: &mut Files, operation: &Operation) -> Result<Vec<u8>, Errno> {
    let path = |path: &usize| PATHS[*path].as_bytes();
    match operation {
        Operation::Make(at) => files.make_directory(HERE, path(at), 0o777, NOW)?,
        Operation::Write(at, offset, bytes) => {
            let fd = files.open(HERE, path(at), NEW, 0o666, NOW)?;
            files.seek(fd, i64::from(*offset), SEEK_SET)?;
            assert_eq!(files.write(fd, bytes, NOW), Ok(bytes.len()));
            files.close(fd)?;
        }
        Operation::Truncate(at, size) => files.truncate(path(at), i64::from(*size), NOW)?,
        Operation::Unlink(at) => files.unlink(HERE, path(at), NOW)?,
        Operation::Rmdir(at) => files.remove_directory(HERE, path(at), NOW)?,
        Operation::Rename(from, to) => files.rename((HERE, path(from)), (HERE, path(to)), NOW)?,
        Operation::Read(at) => return contents(files, PATHS[*at]),
        Operation::Restore => {
            check(files);
            *files = Files::decode(&encoded(files)).unwrap();
        }
    }
    Ok(Vec::new())
}

proptest! {
    #[test]
    fn programs_see_what_the_model_says(operations in operations()) {
        let (mut files, mut model) = (Files::new(), Model::new());
        for operation in &operations {
            let before = files.clone();
            let (is, should_be) = (actual(&mut files, operation), expected(&mut model, operation));
            prop_assert_eq!(&is, &should_be, "{:?}", operation);
            if is.is_err() {
                prop_assert_eq!(&files, &before, "failed, but did something: {:?}", operation);
            }
        }
        for (path, file) in &model {
            let found = contents(&mut files, path);
            prop_assert_eq!(found, file.clone().ok_or(Errno::ISDIR));
        }
        check(&files);
    }
}
