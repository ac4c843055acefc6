//! Which Emscripten has built an image, as far as that matters to its host: the sizes of a time and of a `struct stat`, and
//! the meaning of functions that kept their name and their type.
//!
//! No image says its version. Its imports tell: each of [`MARKS`] is there in some versions only. Where these leave open
//! how wide a time is, the code tells: it extends a time that it gets in 32 bits, or does not. The same bytes always tell
//! the same. The table of versions is in `docs/emscripten.md`.

use crate::memory::Width;
use wasmtime::ValType;

/// The versions between which the interface changes under names and types that stay the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    /// Up to 3.1.15: `time_t` has 32 bits.
    Until3_1_15,
    /// Up to 3.1.20: it has 64 bits.
    Until3_1_20,
    /// Up to 3.1.41: `mktime` sets the year, too.
    Until3_1_41,
    /// Up to 3.1.58: `struct stat` without padding.
    Until3_1_58,
    /// What AO's later formats are: they have no environment, and their `main` does not run by itself.
    #[default]
    Current,
}

/// An import, as the image has it.
pub struct Imported<'a> {
    /// First name.
    pub module: &'a str,
    /// Second name.
    pub name: &'a str,
    /// Types of the parameters.
    pub params: Vec<ValType>,
    /// Types of the results.
    pub results: Vec<ValType>,
}

/// What an image shows of itself.
pub struct Shown<'a> {
    /// Its imports.
    pub imports: &'a [Imported<'a>],
    /// The names of its exports.
    pub exports: Vec<&'a str>,
    /// How wide its pointers are.
    pub width: Width,
    /// Whether its code makes 64 bits of a time that it gets in 32.
    pub extends_time: bool,
}

/// The module of the imports that tell.
const ENV: &str = "env";

/// Patch versions of Emscripten 3.1, of which later ones go on counting.
type Versions = std::ops::RangeInclusive<u16>;

/// After the last.
const NOW: u16 = u16::MAX;

/// Imports of `env` that only some versions have.
const MARKS: &[(&str, Versions)] = &[
    ("gmtime_r", 0..=0),
    ("__gmtime_r", 0..=0),
    ("_gmtime_js", 1..=NOW),
    ("localtime_r", 0..=2),
    ("__localtime_r", 0..=2),
    ("mktime", 0..=2),
    ("timegm", 0..=2),
    ("tzset", 0..=2),
    ("_localtime_js", 3..=NOW),
    ("_mktime_js", 3..=NOW),
    ("_timegm_js", 3..=NOW),
    ("_tzset_js", 3..=NOW),
    ("__syscall_mmap2", 0..=4),
    ("__syscall_munmap", 0..=4),
    ("_mmap_js", 5..=NOW),
    ("_munmap_js", 5..=NOW),
    ("clock", 0..=7),
    ("clock_getres", 0..=7),
    ("clock_gettime", 0..=7),
    ("difftime", 0..=7),
    ("gettimeofday", 0..=7),
    ("time", 0..=7),
    ("__syscall_fstatat64", 0..=7),
    ("__syscall_open", 0..=7),
    ("__syscall_unlink", 0..=7),
    ("__syscall_newfstatat", 8..=NOW),
    ("_emscripten_get_now_is_monotonic", 8..=NOW),
    ("_emscripten_date_now", 8..=20),
    ("getTempRet0", 0..=19),
    ("setTempRet0", 0..=19),
    ("emscripten_memcpy_big", 0..=45),
    ("emscripten_memcpy_js", 46..=56),
    ("_emscripten_memcpy_js", 57..=NOW),
    ("system", 0..=51),
    ("_emscripten_system", 52..=NOW),
    ("abort", 0..=58),
    ("_abort_js", 59..=NOW),
    ("strftime", 0..=61),
];

/// Exports that only some versions have.
const EXPORT_MARKS: &[(&str, Versions)] = &[("setTempRet0", 20..=NOW), ("_emscripten_tempret_set", 57..=NOW)];

impl Abi {
    /// That of an image.
    pub fn of(shown: &Shown<'_>) -> Abi {
        let env = || shown.imports.iter().filter(|import| import.module == ENV);
        let by_name = env().flat_map(|import| MARKS.iter().filter(|(name, _)| *name == import.name));
        let by_export = EXPORT_MARKS.iter().filter(|(name, _)| shown.exports.contains(name));
        let by_type = env().filter_map(|import| by_type(import, shown.width));
        let marks = by_name.chain(by_export).map(|(_, versions)| versions.clone()).chain(by_type);
        let (mut first, mut last) = (0, NOW);
        for versions in marks {
            first = first.max(*versions.start());
            last = last.min(*versions.end());
        }
        // A program may bring a function of an older name with it: what is newer tells.
        if first > last {
            last = NOW;
        }
        let gets_time = env().any(|import| ["_mktime_js", "_timegm_js"].contains(&import.name));
        if first < 16 && last >= 16 && !shown.extends_time && (gets_time || last <= 20) {
            last = 15;
        }
        match last {
            0..=15 => Abi::Until3_1_15,
            16..=20 => Abi::Until3_1_20,
            21..=41 => Abi::Until3_1_41,
            42..=58 => Abi::Until3_1_58,
            _ => Abi::Current,
        }
    }

    /// Whether a `struct stat` is padded, and all that imports return has 32 bits.
    pub(crate) fn is_narrow(self) -> bool {
        self <= Abi::Until3_1_41
    }

    /// Bytes of a `time_t`.
    pub(crate) fn time_bytes(self) -> u64 {
        if self == Abi::Until3_1_15 { 4 } else { 8 }
    }
}

/// The versions that have a function with this type. With 64-bit pointers some types are those of other versions, too.
fn by_type(import: &Imported<'_>, width: Width) -> Option<Versions> {
    let params = import.params.len();
    let has_wide = import.params.iter().any(ValType::is_i64);
    let is_narrow = width == Width::Narrow;
    Some(match import.name {
        // Two pointers, and since a time that is passed in 64 bits or in two halves. 3.1.42 has the former, and is told by
        // how it maps files.
        "_gmtime_js" | "_localtime_js" if is_narrow && params == 2 && !has_wide => 0..=41,
        "_gmtime_js" | "_localtime_js" if is_narrow => 43..=NOW,
        "_mktime_js" | "_timegm_js" if import.results.iter().any(ValType::is_i64) => 43..=NOW,
        "_mktime_js" | "_timegm_js" if !is_narrow => 0..=42,
        "_tzset_js" if params == 3 => 3..=54,
        "_tzset_js" => 55..=NOW,
        // The address is the result.
        "_mmap_js" if params == 6 => 12..=21,
        "_msync_js" if params == 4 => 5..=22,
        // The offset has 64 bits, in one or two.
        "_mmap_js" if is_narrow && (has_wide || params == 8) => 42..=NOW,
        "_munmap_js" if is_narrow && (has_wide || params == 7) => 42..=NOW,
        "_munmap_js" if is_narrow => 5..=41,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An import of `env` by its name and its type: `i` and `j`, and a colon before the result.
    fn import<'a>(name: &'a str, ty: &str) -> Imported<'a> {
        let types = |letters: &str| {
            letters.chars().map(|letter| if letter == 'j' { ValType::I64 } else { ValType::I32 }).collect()
        };
        let (params, results) = ty.split_once(':').unwrap();
        Imported { module: ENV, name, params: types(params), results: types(results) }
    }

    fn abi(imports: &[(&str, &str)], exports: &[&str], width: Width, extends_time: bool) -> Abi {
        let imports: Vec<_> = imports.iter().map(|(name, ty)| import(name, ty)).collect();
        Abi::of(&Shown { imports: &imports, exports: exports.to_vec(), width, extends_time })
    }

    #[test]
    fn versions_are_told_by_what_images_import() {
        let old: &[(&str, &str)] = &[("_mktime_js", "i:i"), ("_gmtime_js", "ii:"), ("_tzset_js", "iii:")];
        let with = |more: &[(&'static str, &'static str)]| [old, more].concat();
        let date = [("_emscripten_date_now", ":")];
        for (imports, extends_time, expected) in [
            // Debian's 3.1.6.
            (with(&[("time", "i:i"), ("__syscall_open", "iii:i"), ("setTempRet0", "i:")]), false, Abi::Until3_1_15),
            (with(&[("__syscall_fstatat64", "iiii:i")]), false, Abi::Until3_1_15),
            // What 3.1.8 to 3.1.19 have in common.
            (with(&date), false, Abi::Until3_1_15),
            (with(&date), true, Abi::Until3_1_20),
            (with(&[("_mmap_js", "iiiiii:i")]), false, Abi::Until3_1_15),
            (with(&[("_mmap_js", "iiiiii:i")]), true, Abi::Until3_1_41),
            (date.to_vec(), false, Abi::Until3_1_15),
            (with(&[("emscripten_memcpy_big", "iii:")]), true, Abi::Until3_1_41),
            (with(&[("_mmap_js", "iiiijii:i")]), true, Abi::Current),
            (with(&[("_munmap_js", "iiiiiii:i")]), true, Abi::Current),
            (vec![("_munmap_js", "iiiiii:i")], false, Abi::Until3_1_41),
            // 3.1.43 and later, with 64-bit integers and with halves.
            (vec![("_mktime_js", "i:j"), ("_gmtime_js", "ji:"), ("system", "i:i")], false, Abi::Until3_1_58),
            (
                vec![("_mktime_js", "i:i"), ("_gmtime_js", "iii:"), ("emscripten_memcpy_big", "iii:")],
                false,
                Abi::Until3_1_58,
            ),
            (vec![("_mktime_js", "i:i"), ("_tzset_js", "iiii:")], false, Abi::Current),
            (vec![("strftime", "iiii:i")], false, Abi::Current),
            (vec![("emscripten_memcpy_js", "iii:")], false, Abi::Until3_1_58),
            (vec![("_gmtime_js", "iii:"), ("abort", ":")], false, Abi::Until3_1_58),
            (vec![("abort", ":"), ("_abort_js", ":")], false, Abi::Current),
            (vec![], false, Abi::Current),
        ] {
            assert_eq!(abi(&imports, &[], Width::Narrow, extends_time), expected, "{imports:?}");
        }
    }

    #[test]
    fn images_with_64_bit_pointers_are_told_by_what_their_types_leave() {
        let wide = [("_mmap_js", "jiiijjj:i"), ("_gmtime_js", "jj:")];
        assert_eq!(abi(&wide, &[], Width::Wide, false), Abi::Current);
        assert_eq!(abi(&[("_mktime_js", "j:j"), ("strftime", "jjjj:j")], &[], Width::Wide, false), Abi::Current);
        assert_eq!(
            abi(&[("_mktime_js", "j:i"), ("_emscripten_date_now", ":")], &[], Width::Wide, true),
            Abi::Until3_1_20
        );
    }

    #[test]
    fn what_is_newer_tells() {
        // A program's own `time` in an image of a late version.
        assert_eq!(abi(&[("time", "i:i"), ("_abort_js", ":")], &[], Width::Narrow, false), Abi::Current);
        assert_eq!(abi(&[("time", "i:i")], &["_emscripten_tempret_set"], Width::Narrow, false), Abi::Current);
        let foreign = Imported { module: "other", ..import("time", "i:i") };
        let shown = Shown { imports: &[foreign], exports: vec![], width: Width::Narrow, extends_time: false };
        assert_eq!(Abi::of(&shown), Abi::Current);
    }
}
