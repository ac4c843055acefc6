//! What `make bench` compares the library with, measured on request.
//!
//! A line on the standard input asks for a measurement, its fields separated by tabs; the line that answers holds the
//! nanoseconds that one turn took, a tab, and what the last turn gave. The one who asks measures its own side in
//! between, so that whatever else the machine does meets both.
//!
//! | fields | one turn |
//! |---|---|
//! | `task` image func argument turns | a call of an instance as the NIF makes it, driven to its end |
//! | `plain` image func argument turns | the same call by wasmtime, without a task |
//! | `handle` image environment message turns | the call of an AO process by wasmtime; the two texts are files |
//! | `instantiate` image turns | an instance made and dropped by wasmtime |
//! | `copy_fresh` bytes turns, `copy_over` bytes turns | bytes copied into a new buffer, into an old one |
//! | `copy_pages` bytes turns | bytes copied into pages that are made for them and found by number |

mod copies;
mod plain;
mod task;

use plain::Plain;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::io::BufRead;
use std::process::ExitCode;
use std::time::Instant;
use task::Task;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Instances, each made when it is first asked for.
#[derive(Default)]
struct Instances {
    tasks: HashMap<String, Task>,
    plain: HashMap<String, Plain>,
}

fn main() -> ExitCode {
    let mut instances = Instances::default();
    for line in std::io::stdin().lock().lines() {
        match line.map_err(Into::into).and_then(|line| serve(&mut instances, &line)) {
            Ok((nanoseconds, result)) => println!("{nanoseconds:.3}\t{result}"),
            Err(error) => {
                eprintln!("reference: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn serve(instances: &mut Instances, line: &str) -> Result<(f64, String)> {
    let fields: Vec<&str> = line.split('\t').collect();
    match *fields {
        ["task", image, func, argument, turns] => {
            let task = once(&mut instances.tasks, image, Task::load)?;
            let argument = task::argument(argument)?;
            let (time, result) = measure(turns, || task.call(func, argument))?;
            Ok((time, task::text(result)?))
        }
        ["plain", image, func, argument, turns] => {
            let plain = once(&mut instances.plain, image, Plain::load)?;
            let (func, argument) = (plain.func::<i64>(func)?, argument.parse()?);
            let (time, result) = measure(turns, || plain.call(&func, argument))?;
            Ok((time, result.to_string()))
        }
        ["handle", image, environment, message, turns] => {
            let plain = once(&mut instances.plain, image, Plain::load)?;
            let texts = (plain.text(message)?, plain.text(environment)?);
            let handle = plain.func("handle")?;
            let (time, answer) = measure(turns, || plain.call(&handle, texts))?;
            Ok((time, plain.string(answer)?))
        }
        ["instantiate", image, turns] => {
            let plain = once(&mut instances.plain, image, Plain::load)?;
            measure(turns, || plain.instantiate()).map(|(time, ())| (time, String::new()))
        }
        ["copy_fresh", bytes, turns] => {
            let from = copies::source(bytes.parse()?);
            measure(turns, || copies::fresh(&from)).map(|(time, ())| (time, String::new()))
        }
        ["copy_over", bytes, turns] => {
            let from = copies::source(bytes.parse()?);
            let mut to = vec![1; from.len()];
            measure(turns, || copies::over(&from, &mut to)).map(|(time, ())| (time, String::new()))
        }
        ["copy_pages", bytes, turns] => {
            let from = copies::source(bytes.parse()?);
            measure(turns, || copies::pages(&from)).map(|(time, written)| (time, written.to_string()))
        }
        _ => Err(format!("no such measurement: {line}").into()),
    }
}

fn once<'a, T>(known: &'a mut HashMap<String, T>, image: &str, load: fn(&str) -> Result<T>) -> Result<&'a mut T> {
    Ok(match known.entry(image.to_owned()) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(load(image)?),
    })
}

/// Nanoseconds for one turn of so many, and what the last one gave.
fn measure<T>(turns: &str, mut turn: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let turns: u32 = turns.parse()?;
    // Caches and branch predictors have forgotten this since the last request.
    for _ in 0..turns / 10 {
        turn()?;
    }
    let began = Instant::now();
    for _ in 1..turns {
        turn()?;
    }
    let last = turn()?;
    Ok((began.elapsed().as_nanos() as f64 / f64::from(turns), last))
}
