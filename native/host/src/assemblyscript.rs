//! The functions that AssemblyScript's compiler makes modules import by themselves: what nobody catches, and what is printed.
//!
//! Texts are objects of the guest: UTF-16 in little endian, with how many bytes that are in the four bytes before.

use crate::abi::Imported;
use crate::context::{Args, HostCtx};
use crate::failure::Fault;
use crate::function::Call::Plain;
use crate::function::{ENV, FILE, Function, OPEN, env};
use crate::limits::{LINE_BYTES, MESSAGE_BYTES};
use wasmtime::ValType;

pub(crate) const FUNCTIONS: &[Function] = &[
    env("abort", "ppii:", OPEN, Plain(abort)),
    env("trace", "piddddd:", FILE, Plain(trace)),
    env("console.log", "p:", FILE, Plain(print)),
    env("console.debug", "p:", FILE, Plain(print)),
    env("console.info", "p:", FILE, Plain(print)),
    env("console.warn", "p:", FILE, Plain(print_error)),
    env("console.error", "p:", FILE, Plain(print_error)),
];

/// Whether an image that imports these functions is AssemblyScript's: nothing else imports an `abort` of this type.
pub(crate) fn is_assemblyscript(imports: &[Imported<'_>]) -> bool {
    let is_abort = |import: &Imported<'_>| import.module == ENV && import.name == "abort";
    let is_of_type = |import: &Imported<'_>| {
        import.params.len() == 4 && import.params.iter().all(ValType::is_i32) && import.results.is_empty()
    };
    imports.iter().any(|import| is_abort(import) && is_of_type(import))
}

/// A message, the name of a file, a line and a column.
fn abort(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let (message, file) = (text(host, args.pointer(0), MESSAGE_BYTES)?, text(host, args.pointer(1), MESSAGE_BYTES)?);
    Err(Fault::Abort(format!("{message} in {file}:{}:{}", args.int(2) as u32, args.int(3) as u32)))
}

/// A message, how many numbers follow, and five of them.
fn trace(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let mut line = text(host, args.pointer(0), LINE_BYTES)?;
    let count = usize::try_from(args.int(1)).unwrap_or(0).min(5);
    for index in 2..2 + count {
        let number = f64::from_bits(args.pointer(index));
        line.push(' ');
        line.push_str(&if number.is_infinite() {
            if number > 0.0 { "Infinity".into() } else { "-Infinity".into() }
        } else {
            number.to_string()
        });
    }
    say(host, 1, &line)
}

fn print(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let line = text(host, args.pointer(0), LINE_BYTES)?;
    say(host, 1, &line)
}

fn print_error(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let line = text(host, args.pointer(0), LINE_BYTES)?;
    say(host, 2, &line)
}

fn say(host: &mut HostCtx<'_>, descriptor: i32, line: &str) -> Result<u64, Fault> {
    for bytes in [line.as_bytes(), b"\n"] {
        host.memory.pay(bytes.len() as u64)?;
        // Nobody is told where that fails.
        let _ = host.state.files.write(descriptor, bytes, host.now);
    }
    Ok(0)
}

/// A text, of which as much as fits into so many bytes; "null" where there is none.
fn text(host: &HostCtx<'_>, at: u64, most: usize) -> Result<String, Fault> {
    if at == 0 {
        return Ok("null".into());
    }
    let before = at.checked_sub(4).ok_or(Fault::OutOfBounds)?;
    let size = u64::from(host.memory.i32(before)? as u32).min(most as u64);
    let units = host.memory.get(at, size)?.chunks_exact(2);
    let units =
        units.map(|unit| u16::from_le_bytes([unit.first().copied().unwrap_or(0), unit.get(1).copied().unwrap_or(0)]));
    Ok(char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}
