//! A program in Rust. Its first argument says what it does: `maps`, `files`, `time`, `input`, `panic`, or `exit N`.

use std::collections::HashMap;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, io, process, thread};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("maps") => maps(),
        Some("files") => files()?,
        Some("time") => time(),
        Some("input") => input()?,
        Some("panic") => {
            let empty: Vec<u8> = Vec::new();
            println!("{}", empty[arguments.len()]);
        }
        Some("exit") => process::exit(arguments[1].parse().unwrap_or(1)),
        other => {
            eprintln!("nothing to do for {other:?}");
            process::exit(2);
        }
    }
    Ok(())
}

/// The order of a `HashMap` comes from random numbers; what is counted does not.
fn maps() {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for n in 0..10_000_u64 {
        *counts.entry(n * n % 97).or_default() += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_unstable();
    println!("{} keys, first {:?}, last {:?}", sorted.len(), sorted[0], sorted[sorted.len() - 1]);
    let order: Vec<u32> = (0..20).map(|n| (n, ())).collect::<HashMap<u32, ()>>().into_keys().collect();
    println!("order of {}", order.len());
    if env::var_os("SHOW_ORDER").is_some() {
        println!("{order:?}");
    }
}

fn files() -> io::Result<()> {
    fs::create_dir_all("/data/deep/er")?;
    fs::write("/data/deep/er/file", b"some text")?;
    let mut file = fs::OpenOptions::new().read(true).write(true).open("/data/deep/er/file")?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(b", and more")?;
    file.seek(SeekFrom::Start(5))?;
    let mut rest = String::new();
    file.read_to_string(&mut rest)?;
    println!("{rest}");
    println!("{} bytes, file {}", file.metadata()?.len(), file.metadata()?.is_file());
    fs::copy("/data/deep/er/file", "/data/copy")?;
    fs::rename("/data/copy", "/data/renamed")?;
    let mut names: Vec<_> = fs::read_dir("/data")?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    names.sort();
    println!("{names:?}");
    for (what, result) in [
        ("missing", fs::read("/data/missing").map(drop)),
        ("a directory", fs::read("/data").map(drop)),
        ("not empty", fs::remove_dir("/data")),
    ] {
        println!("{what}: {:?}", result.map_err(|error| error.kind()));
    }
    fs::remove_dir_all("/data")?;
    println!("left: {}", fs::metadata("/data").is_ok());
    Ok(())
}

fn time() {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(1500));
    let slept = start.elapsed();
    println!("slept: {}", slept >= Duration::from_millis(1500) && slept < Duration::from_millis(2000));
    println!("after 2020: {}", SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|time| time.as_secs() > 1_577_836_800));
}

fn input() -> io::Result<()> {
    let mut total = 0;
    for line in io::stdin().lock().lines() {
        let line = line?;
        total += line.len();
        println!("{}", line.to_uppercase());
    }
    println!("{total} letters");
    Ok(())
}
