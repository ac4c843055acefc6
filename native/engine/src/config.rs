//! Every switch of wasmtime that this project sets or leaves, with its default, our choice and the reason.
//!
//! Two nodes agree on a result only if they agree on this page. Nothing here may depend on the machine.

use crate::error::Error;
use crate::limits::{
    BACKTRACE_FRAMES, GUEST_STACK_BYTES, HOST_STACK_BYTES, MEMORY_BYTES, MEMORY32_BYTES, OBJECTS_BYTES,
};
use once_cell::sync::OnceCell;
use wasmparser::WasmFeatures;
use wasmtime::{Collector, Config, Engine, OptLevel, RegallocAlgorithm};

/// The proposals that a guest may use. Anything else is refused before it is compiled.
///
/// All of WebAssembly 3.0, and atomic instructions, which mean the same on every node where no memory is shared. Left out on
/// purpose: memories that threads share (`image/validate.rs` refuses them), as results would depend on timing, and
/// everything that is not a finished part of the standard.
pub fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::FLOATS
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::MEMORY64
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::GC
        | WasmFeatures::GC_TYPES
        | WasmFeatures::THREADS
}

/// Which of the engines of this process compiles and runs an image: a function of the image alone, so that every node
/// chooses the same one. Results and fuel are the same in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineKind {
    /// Address space that each memory of the image has.
    pub memory: Reservation,
    /// Whether the image has objects: structs and arrays, which live on a heap of their own.
    pub objects: bool,
    /// Whether a function of the image is too complex to be optimized in reasonable time; see `complexity.rs`.
    pub complex_code: bool,
}

impl EngineKind {
    /// How many kinds there are.
    const COUNT: usize = 4 * Reservation::COUNT;

    fn index(self) -> usize {
        let (objects, complex) = (usize::from(self.objects), usize::from(self.complex_code));
        self.memory as usize + Reservation::COUNT * (objects + 2 * complex)
    }
}

/// Address space that a memory reserves. It never moves, as no memory of the image may grow beyond that: moving would copy
/// all of it, in one instruction of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reservation {
    /// For images with 64-bit memories of at most 2 GiB: a bound below 2^31 is a part of the instruction that compares an
    /// address with it, which makes AOS 4 to 8 % faster than with one beyond.
    Gib2,
    /// For images with 32-bit memories: their addresses need no bounds checks.
    #[default]
    Gib4,
    /// For the others: all that an instance may have.
    Gib16,
}

impl Reservation {
    const COUNT: usize = 3;

    /// How much that is.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Reservation::Gib2 => 2 << 30,
            Reservation::Gib4 => MEMORY32_BYTES,
            Reservation::Gib16 => MEMORY_BYTES,
        }
    }
}

static ENGINES: [OnceCell<Engine>; EngineKind::COUNT] = [const { OnceCell::new() }; EngineKind::COUNT];

/// The engine of a kind; one for the whole process.
///
/// # Errors
/// [`Error::Host`] where wasmtime refuses the configuration, which only an unsupported processor can cause.
pub fn engine(kind: EngineKind) -> Result<&'static Engine, Error> {
    // The index of a kind is below their count.
    let Some(engine) = ENGINES.get(kind.index()) else { return Err(Error::Host("no such engine".into())) };
    engine.get_or_try_init(|| Engine::new(&config(kind)).map_err(|error| Error::Host(format!("{error:#}"))))
}

/// Whether an engine optimizes what it compiles.
#[cfg(test)]
pub(crate) fn is_optimized(engine: &Engine) -> bool {
    let optimized = ENGINES.iter().take(2 * Reservation::COUNT);
    optimized.filter_map(OnceCell::get).any(|other| Engine::same(engine, other))
}

/// The engines that are in use.
pub(crate) fn engines() -> impl Iterator<Item = &'static Engine> {
    ENGINES.iter().filter_map(OnceCell::get)
}

fn config(kind: EngineKind) -> Config {
    let mut config = Config::new();

    // Determinism.

    // Default: whatever wasmtime holds finished. Ours: the list above and not one more, so that an upgrade of wasmtime
    // does not widen what a network of nodes accepts.
    config.wasm_features(WasmFeatures::all().difference(features()), false);
    config.wasm_features(features(), true);
    // Default: off. On: the bit pattern of a NaN would otherwise show which processor computed it.
    config.cranelift_nan_canonicalization(true);
    // Default: off. On: relaxed SIMD may otherwise give what the processor finds easiest.
    config.relaxed_simd_deterministic(true);
    // Default: 512 KiB. Ours: eight times that, as guests that are built for browsers recurse deeply.
    config.max_wasm_stack(GUEST_STACK_BYTES);
    // Default: 2 MiB. Ours: it must stay above the line before.
    config.async_stack_size(GUEST_STACK_BYTES + HOST_STACK_BYTES);
    // Default: off. On: fuel is the only bound on a call that every machine sees at the same instruction.
    config.consume_fuel(true);

    // Taking turns.

    // Default: off. On: the guest looks at a counter in loops and on entry of functions, and yields at the end of its
    // slice. See `ticker`.
    config.epoch_interruption(true);
    // Default: on. Off: this is for components, of which there are none here.
    config.concurrency_support(false);

    // Exceptions and objects.

    // Default: copying. Ours where there are exceptions only: reference counting, which frees an exception soon after its last
    // use and never stops a guest to look through others. Objects are copied: counting never frees those that refer to each
    // other in a circle, so that an instance would run out of room sooner than one that starts from its snapshot.
    config.collector(if kind.objects { Collector::Copying } else { Collector::DeferredReferenceCounting });
    // Default: 4 GiB of address space for each store. Ours: only where there are objects, as a heap that needs more moves,
    // in one instruction. Exceptions are small and short-lived.
    config.gc_heap_reservation(if kind.objects { OBJECTS_BYTES } else { 64 << 20 });
    config.gc_heap_guard_size(64 << 10);

    // Compilation.

    // Default: speed. The same, spelled out: images are compiled once and run for long. Only where that would take time that
    // grows with the square of a function's size: none. Results and fuel are the same, as both are those of the module's
    // instructions.
    config.cranelift_opt_level(if kind.complex_code { OptLevel::None } else { OptLevel::Speed });
    // Default: backtracking. The same: the other allocator compiles faster and runs slower.
    config.cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking);
    // Default: on. The same: the functions of an image are compiled on all cores.
    config.parallel_compilation(true);
    // Default: on. Off: the system's unwinder never walks guest frames here, and registering its tables gets slower
    // with each image loaded.
    config.native_unwind_info(false);

    // Memory.

    // Default: on. The same: an instance maps its initial memory copy-on-write instead of copying it.
    config.memory_init_cow(true);
    // Default: 4 GiB on 64-bit hosts. Ours: what the memories of the image may grow to at most.
    config.memory_reservation(kind.memory.bytes());
    // Default: on. Off: a memory that moves is copied in one instruction, however large it is. On where the reservation is
    // all that an instance may have: none of its memories grows beyond that either, so that none moves. But those that
    // declare no maximum are compiled like memories that may: the bound of an address is read and not a constant of 64
    // bits in each access, which makes loops over memory about a tenth faster.
    config.memory_may_move(kind.memory == Reservation::Gib16);

    // Errors.

    // Default: 20. Ours: a few more frames, as interpreters inside guests are deep.
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES));
    config
}
