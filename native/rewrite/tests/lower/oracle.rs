//! Comparison with an engine that runs legacy exceptions as they are: V8, by way of `node`.
//!
//! Without `node` on the path there is nothing to compare with, and the tests say that they were not run. The variable
//! `LOWER_SEEDS`, a range such as `400..20000`, makes it other random modules than the usual ones.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use wasmtime::Module;

use crate::cases::ALL;
use crate::generator::{Dialect, generate};
use crate::support::{assemble, call, engine, lowered, not_run};

const MODULES: u64 = 400;

struct Program {
    what: String,
    wasm: Vec<u8>,
    calls: Vec<Vec<i32>>,
}

/// A directory that goes when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A directory that stays does no harm.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What the oracle says of each call of each program, or nothing when it is not installed.
fn ask(name: &str, programs: &[Program]) -> Option<Vec<String>> {
    let available = Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok_and(|it| it.success());
    if !available {
        not_run(name, "there is no node");
        return None;
    }
    let directory = Directory::new(name);
    let mut manifest = String::new();
    for (index, program) in programs.iter().enumerate() {
        let path = directory.0.join(format!("{index}.wasm"));
        fs::write(&path, &program.wasm).expect("the temporary directory is writable");
        for args in &program.calls {
            manifest.push_str(path.to_str().expect("the temporary directory has a plain name"));
            for arg in args {
                manifest.push_str(&format!("\t{arg}"));
            }
            manifest.push('\n');
        }
    }
    let mut node = Command::new("node")
        .args(["-e", include_str!("oracle.js")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    // It reads all of its input before it writes anything.
    node.stdin.take().expect("the input is piped").write_all(manifest.as_bytes()).expect("node reads");
    let output = node.wait_with_output().expect("node ends");
    assert!(output.status.success(), "the oracle failed");
    let answers = String::from_utf8(output.stdout).expect("the answers are text");
    Some(answers.lines().map(str::to_owned).collect())
}

fn compare(name: &str, programs: &[Program]) {
    let Some(answers) = ask(name, programs) else { return };
    let mut answers = answers.iter();
    for program in programs {
        let module = Module::new(engine(), lowered(&program.wasm)).expect("the lowered module compiles");
        for args in &program.calls {
            let answer = answers.next().expect("there is an answer to each call");
            assert_eq!(call(&module, args), *answer, "{}, run{args:?}", program.what);
        }
    }
    assert_eq!(answers.next(), None);
}

#[test]
fn oracle_agrees_on_the_cases() {
    let programs: Vec<Program> = ALL
        .iter()
        .map(|case| Program {
            what: case.name.to_owned(),
            wasm: assemble(case.wat),
            calls: case.calls.iter().map(|(args, _)| args.to_vec()).collect(),
        })
        .collect();
    compare("oracle-cases", &programs);
}

#[test]
fn oracle_agrees_on_random_modules() {
    let seeds = match std::env::var("LOWER_SEEDS") {
        Ok(range) => {
            let (first, last) = range.split_once("..").expect("LOWER_SEEDS is a range");
            first.parse().expect("LOWER_SEEDS starts with a number")..last.parse().expect("and ends with one")
        }
        Err(_) => 0..MODULES,
    };
    let programs: Vec<Program> = seeds
        .map(|seed| Program {
            what: format!("seed {seed}"),
            wasm: generate(&tape(seed), Dialect::Legacy),
            calls: [0, 1, 2, -7].map(|arg| vec![arg]).to_vec(),
        })
        .collect();
    compare("oracle-random", &programs);
}

/// Numbers from a seed by the SplitMix64 generator.
fn tape(seed: u64) -> Vec<u16> {
    let mut state = seed;
    (0..600)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 48) as u16
        })
        .collect()
}
