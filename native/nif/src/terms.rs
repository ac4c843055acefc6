//! Values, errors and descriptions as Erlang terms.

use crate::atoms;
use hb_wasm64_engine::error::{Error, ImportFailure, Limit, TrapInfo};
use hb_wasm64_engine::image::Image;
use hb_wasm64_engine::value::{Arg, Float, ValType, Value};
use hb_wasm64_engine::{Served, Usage};
use hb_wasm64_snapshot::Code;
use rustler::{Atom, Binary, Encoder, Env, ListIterator, NewBinary, NifResult, Term, TermType};

/// A string as Erlang's strings are: a list of characters.
pub fn chars<'a>(env: Env<'a>, text: &str) -> Term<'a> {
    text.chars().rfold(Term::list_new_empty(env), |tail, char| tail.list_prepend(u32::from(char)))
}

/// A binary with a copy of `bytes`.
pub fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    NewBinary::from_slice(env, bytes).into()
}

/// The name of an error of POSIX, as an atom.
fn posix<'a>(env: Env<'a>, name: &str) -> Term<'a> {
    // It is a short name of letters.
    Atom::from_str(env, name).map_or_else(|_| atoms::error().to_term(env), |name| name.to_term(env))
}

/// A map with atoms as keys.
pub fn map<'a, const N: usize>(env: Env<'a>, pairs: [(Atom, Term<'a>); N]) -> Term<'a> {
    let keys = pairs.map(|(key, _)| key.to_term(env));
    let values = pairs.map(|(_, value)| value);
    // The keys are distinct and as many as the values, so that this cannot fail.
    Term::map_from_term_arrays(env, &keys, &values).unwrap_or_else(|_| Term::map_new(env))
}

/// A list of values.
pub fn values<'a>(env: Env<'a>, values: &[Value]) -> Term<'a> {
    values.iter().rfold(Term::list_new_empty(env), |tail, next| tail.list_prepend(value(env, *next)))
}

fn value(env: Env<'_>, value: Value) -> Term<'_> {
    match value {
        Value::I32(n) => n.encode(env),
        Value::I64(n) => n.encode(env),
        Value::F32(bits) => float(env, Float::from_f32(bits)),
        Value::F64(bits) => float(env, Float::from_f64(bits)),
        Value::V128(bytes) => binary(env, &bytes),
        Value::Extern(n) => n.encode(env),
        Value::Null(_) => atoms::null().to_term(env),
        Value::Opaque(ValType::FuncRef) => atoms::funcref().to_term(env),
        Value::Opaque(ValType::ExnRef) => atoms::exnref().to_term(env),
        Value::Opaque(_) => atoms::externref().to_term(env),
    }
}

fn float(env: Env<'_>, float: Float) -> Term<'_> {
    match float {
        Float::Finite(x) => x.encode(env),
        Float::Nan => atoms::nan().to_term(env),
        Float::NanBits(bits) => (atoms::nan(), bits).encode(env),
        Float::Infinity => atoms::infinity().to_term(env),
        Float::NegInfinity => atoms::neg_infinity().to_term(env),
    }
}

/// Values that a function may take or give; WebAssembly's implementations agree on this limit.
const MOST_VALUES: usize = 1000;

/// Arguments from a proper list. What is no value at all becomes [`Arg::Other`], which fits no type.
///
/// Of a list that is too long for any function only so much is looked at as shows that it is.
pub fn args(list: Term<'_>) -> NifResult<Vec<Arg>> {
    Ok(list.decode::<ListIterator>()?.take(MOST_VALUES + 1).map(arg).collect())
}

fn arg(term: Term<'_>) -> Arg {
    match term.get_type() {
        TermType::Integer => match term.decode::<i64>() {
            Ok(n) => Arg::Int(n.into()),
            Err(_) => term.decode::<i128>().map_or_else(|_| huge(term), Arg::Int),
        },
        TermType::Float => term.decode::<f64>().map_or(Arg::Other, Arg::Float),
        TermType::Atom => atom_arg(term),
        TermType::Binary => match term.decode::<Binary>().map(|bytes| bytes.as_slice().try_into()) {
            Ok(Ok(bytes)) => Arg::V128(bytes),
            _ => Arg::Other,
        },
        TermType::Tuple => match term.decode::<(Atom, u64)>() {
            Ok((tag, bits)) if tag == atoms::nan() => Arg::NanBits(bits),
            _ => Arg::Other,
        },
        _ => Arg::Other,
    }
}

/// An integer beyond 128 bits. The external term format is the one way in which its bytes can be had.
fn huge(term: Term<'_>) -> Arg {
    const SMALL_BIG: u8 = 110;
    const LARGE_BIG: u8 = 111;
    match term.to_binary().as_slice() {
        [_, SMALL_BIG, _, sign, magnitude @ ..] | [_, LARGE_BIG, _, _, _, _, sign, magnitude @ ..] => {
            Arg::huge(*sign != 0, magnitude)
        }
        _ => Arg::Other,
    }
}

fn atom_arg(term: Term<'_>) -> Arg {
    match term.decode::<Atom>() {
        Ok(atom) if atom == atoms::nan() => Arg::Nan,
        Ok(atom) if atom == atoms::infinity() => Arg::Infinity,
        Ok(atom) if atom == atoms::neg_infinity() => Arg::NegInfinity,
        Ok(atom) if atom == atoms::null() => Arg::Null,
        _ => Arg::Other,
    }
}

/// `#{fuel_used => Fuel}`, and `gas_used => Gas` where the image has a meter.
pub fn usage(env: Env<'_>, usage: Usage) -> Term<'_> {
    let fuel = usage.fuel.map(|fuel| (atoms::fuel_used(), fuel.encode(env)));
    let gas = usage.gas.map(|gas| (atoms::gas_used(), gas.encode(env)));
    let known = fuel.into_iter().chain(gas);
    known.fold(Term::map_new(env), |map, (key, value)| map.map_put(key, value).unwrap_or(map))
}

/// `{error, Reason}`.
pub fn error<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    (atoms::error(), reason(env, error)).encode(env)
}

/// The reason of an error. What only the Erlang side knows (the arguments as they came) it adds itself.
pub fn reason<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    match error {
        Error::InvalidModule(text) => (atoms::invalid_module(), binary(env, text.as_bytes())).encode(env),
        Error::Unsupported(text) => (atoms::unsupported(), binary(env, text.as_bytes())).encode(env),
        Error::InvalidArtifact(text) => (atoms::invalid_artifact(), binary(env, text.as_bytes())).encode(env),
        Error::Link { module, name, kind } => {
            let place = map(
                env,
                [
                    (atoms::module(), chars(env, module)),
                    (atoms::name(), chars(env, name)),
                    (atoms::kind(), self::kind(kind).to_term(env)),
                ],
            );
            (atoms::link(), place).encode(env)
        }
        Error::UnknownFunction(name) => (atoms::unknown_function(), binary(env, name.as_bytes())).encode(env),
        Error::InvalidArgs { signature, position } => {
            (atoms::invalid_args(), chars(env, signature), position).encode(env)
        }
        Error::Trap(info) => (atoms::trap(), trap(env, info)).encode(env),
        Error::Exception { tag, values: carried } => {
            let tag = tag.as_ref().map_or_else(|| atoms::undefined().to_term(env), |name| chars(env, name));
            let exception = map(env, [(atoms::tag(), tag), (atoms::values(), values(env, carried))]);
            (atoms::exception(), exception).encode(env)
        }
        Error::ImportFailed(failure) => (atoms::import_failed(), import_failure(env, failure)).encode(env),
        Error::Limit(limit) => (atoms::limit(), self::limit(*limit)).encode(env),
        Error::OutOfBounds { offset, size, memory } => {
            let place = map(
                env,
                [
                    (atoms::offset(), offset.encode(env)),
                    (atoms::size(), size.encode(env)),
                    (atoms::memory(), memory.encode(env)),
                ],
            );
            (atoms::out_of_bounds(), place).encode(env)
        }
        Error::Cancelled => atoms::cancelled().to_term(env),
        Error::WouldDeadlock => atoms::would_deadlock().to_term(env),
        Error::Stopped => atoms::stopped().to_term(env),
        Error::Exit(status) => (atoms::exit(), status).encode(env),
        Error::File(name) => (atoms::file(), posix(env, name)).encode(env),
        Error::NotInterceptable => atoms::not_interceptable().to_term(env),
        Error::NoPendingImport => atoms::no_pending_import().to_term(env),
        Error::InvalidSnapshot(code, text) => {
            let code = (atoms::code(), snapshot_code(*code).to_term(env));
            let what = map(env, [code, (atoms::message(), binary(env, text.as_bytes()))]);
            (atoms::invalid_snapshot(), what).encode(env)
        }
        Error::Uncapturable(text) => (atoms::uncapturable(), binary(env, text.as_bytes())).encode(env),
        Error::Host(text) => (atoms::host(), binary(env, text.as_bytes())).encode(env),
    }
}

fn snapshot_code(code: Code) -> Atom {
    match code {
        Code::NotASnapshot => atoms::not_a_snapshot(),
        Code::UnsupportedVersion => atoms::unsupported_version(),
        Code::Damaged => atoms::damaged(),
        Code::Malformed => atoms::malformed(),
        Code::TooLarge => atoms::too_large(),
        Code::OtherImage => atoms::other_image(),
        Code::OtherBase => atoms::other_base(),
        Code::MissingBase => atoms::missing_base(),
        Code::NotADelta => atoms::not_a_delta(),
        Code::Empty => atoms::empty(),
        Code::OtherMemory => atoms::other_memory(),
    }
}

fn kind(kind: &str) -> Atom {
    match kind {
        "memory" => atoms::memory(),
        "table" => atoms::table(),
        "global" => atoms::global(),
        "tag" => atoms::tag(),
        _ => atoms::func(),
    }
}

fn limit(limit: Limit) -> Atom {
    match limit {
        Limit::Memory => atoms::memory(),
        Limit::Table => atoms::table(),
        Limit::Fuel => atoms::fuel(),
        Limit::Gas => atoms::gas(),
        Limit::File => atoms::file(),
        Limit::Image => atoms::image(),
        Limit::Instances => atoms::instances(),
    }
}

fn trap<'a>(env: Env<'a>, info: &TrapInfo) -> Term<'a> {
    let frames = info.backtrace.iter().map(|frame| {
        let name = frame.name.as_ref().map_or_else(|| atoms::undefined().to_term(env), |name| chars(env, name));
        let offset = frame.offset.map_or_else(|| atoms::undefined().to_term(env), |offset| offset.encode(env));
        map(env, [(atoms::function(), frame.function.encode(env)), (atoms::name(), name), (atoms::offset(), offset)])
    });
    let frames: Vec<Term<'a>> = frames.collect();
    // The codes are few and fixed, so that the atom table cannot fill up with them.
    let code = Atom::from_str(env, info.code).unwrap_or_else(|_| atoms::undefined());
    map(
        env,
        [
            (atoms::code(), code.to_term(env)),
            (atoms::message(), binary(env, info.message.as_bytes())),
            (atoms::backtrace(), frames.encode(env)),
        ],
    )
}

fn import_failure<'a>(env: Env<'a>, failure: &ImportFailure) -> Term<'a> {
    match failure {
        ImportFailure::Refused(bytes) => (atoms::refused(), binary(env, bytes)).encode(env),
        ImportFailure::InvalidResults { module, name, signature, position } => {
            let what = map(
                env,
                [
                    (atoms::module(), chars(env, module)),
                    (atoms::func(), chars(env, name)),
                    (atoms::signature(), chars(env, signature)),
                    (atoms::position(), position.encode(env)),
                ],
            );
            (atoms::invalid_results(), what).encode(env)
        }
    }
}

/// `[{func, Module, Name, Signature}]`.
pub fn imports<'a>(env: Env<'a>, image: &Image) -> Term<'a> {
    let import = |import: &std::sync::Arc<hb_wasm64_engine::ImportInfo>| {
        let signature = chars(env, &import.signature_text);
        (atoms::func(), chars(env, &import.module), chars(env, &import.name), signature).encode(env)
    };
    image.imports().iter().map(import).collect::<Vec<_>>().encode(env)
}

/// `[{Module, Name, host | image | erlang | nobody}]`, in the order of the imports.
pub fn served<'a>(env: Env<'a>, image: &Image) -> Term<'a> {
    let served = |import: &std::sync::Arc<hb_wasm64_engine::ImportInfo>| {
        let who = match import.served {
            Served::Host => atoms::host(),
            Served::Image => atoms::image(),
            Served::Erlang => atoms::erlang(),
            Served::Nobody => atoms::nobody(),
        };
        (chars(env, &import.module), chars(env, &import.name), who).encode(env)
    };
    image.imports().iter().map(served).collect::<Vec<_>>().encode(env)
}

/// `[{Kind, Name, Signature | []}]`.
pub fn exports<'a>(env: Env<'a>, image: &Image) -> Term<'a> {
    let export = |export: &hb_wasm64_engine::image::Export| {
        let signature = chars(env, export.signature.as_deref().unwrap_or_default());
        (kind(export.kind), chars(env, &export.name), signature).encode(env)
    };
    image.exports().iter().map(export).collect::<Vec<_>>().encode(env)
}
