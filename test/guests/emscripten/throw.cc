/* C++ exceptions as LLVM makes them for Emscripten: calls in a try go through
 * an invoke_* of the host, which also keeps what is thrown and caught.
 * README.md says what each export must give.
 */
#include "cxxabi.h"

extern "C" {
[[noreturn]] void exit(int status);
int host_call(int value); /* nothing that Emscripten has: for the test */
}

static jmp_buf here;
NOINLINE static void jump(int value) { longjmp(here, value); }

static volatile int constructions; /* or the compiler would run them itself */
namespace {
struct Global {
    Global() { constructions = constructions + 1; }
} global;
} // namespace
EXPORT(constructed) int constructed() { return constructions; }

/* Objects that exist now: the one that is thrown, and its copies. */
static int living;
EXPORT(alive) int alive() { return living; }

namespace {

struct Counted {
    int value;
    explicit Counted(int v) : value(v) { living++; }
    Counted(const Counted &other) : value(other.value) { living++; }
    ~Counted() { living--; }
};

/* Counts how often it has been destroyed. */
static int destroyed;
struct Local {
    Local() {}
    ~Local() { destroyed++; }
};

struct Base {
    int value;
    explicit Base(int v) : value(v) {}
    virtual ~Base() {}
    virtual int get() const { return value; }
};
struct Derived : Base {
    explicit Derived(int v) : Base(v) {}
    int get() const override { return value + 1000; }
};
struct Other : Base {
    explicit Other(int v) : Base(v) {}
};

struct First {
    int first = 1;
    virtual ~First() {}
};
struct Second {
    int second;
    explicit Second(int v) : second(v) {}
    virtual ~Second() {}
    virtual int get() const { return second; }
};
struct Both : First, Second {
    int own = 3;
    explicit Both(int v) : Second(v) {}
    int get() const override { return second + 2000; }
};
struct Hidden : private Second {
    explicit Hidden(int v) : Second(v) {}
};
/* Has two parts of class Base, so that a handler for Base does not take it. */
struct Twice : Derived, Other {
    explicit Twice(int v) : Derived(v), Other(v) {}
};

struct Shared {
    int shared = 0;
    virtual ~Shared() {}
};
struct Left : virtual Shared {
    int left = 1;
};
struct Right : virtual Shared {
    int right = 2;
};
struct Diamond : Left, Right {
    explicit Diamond(int v) { shared = v; }
};

enum Color { red, green };

} // namespace

NOINLINE static void throw_an_int(int value) { throw value; }

/* --- What is thrown is what is caught ------------------------------------- */

EXPORT(throw_int) int throw_int(int value) {
    try {
        throw_an_int(value);
    } catch (int caught) {
        return caught;
    }
    return MISSED;
}

NOINLINE static i64 throw_a_wide(i64 value) {
    if (value) throw value;
    return -1;
}

EXPORT(throw_wide) i64 throw_wide(i64 value) {
    try {
        return throw_a_wide(value);
    } catch (i64 caught) {
        return caught;
    }
}

NOINLINE static double throw_a_double(double value) {
    if (value != 0) throw value;
    return -1;
}

EXPORT(throw_double) double throw_double(double value) {
    try {
        return throw_a_double(value);
    } catch (double caught) {
        return caught;
    }
}

NOINLINE static void throw_counted(int value) { throw Counted(value); }

/* The handler has a copy. */
EXPORT(by_value) int by_value(int value) {
    try {
        throw_counted(value);
    } catch (Counted caught) {
        return caught.value + 100 * living;
    }
    return MISSED;
}

/* The handler has the object itself. */
EXPORT(by_reference) int by_reference(int value) {
    try {
        throw_counted(value);
    } catch (const Counted &caught) {
        return caught.value + 100 * living;
    }
    return MISSED;
}

NOINLINE static void change_and_rethrow(int value) {
    try {
        throw_counted(value);
    } catch (Counted &caught) {
        caught.value += 10;
        throw;
    }
}

EXPORT(changed) int changed(int value) {
    try {
        change_and_rethrow(value);
    } catch (const Counted &caught) {
        return caught.value;
    }
    return MISSED;
}

NOINLINE static void throw_derived(int value) { throw Derived(value); }
NOINLINE static void throw_both(int value) { throw Both(value); }
NOINLINE static void throw_hidden(int value) { throw Hidden(value); }
NOINLINE static void throw_twice(int value) { throw Twice(value); }
NOINLINE static void throw_diamond(int value) { throw Diamond(value); }

EXPORT(by_base) int by_base(int value) {
    try {
        throw_derived(value);
    } catch (const Base &caught) {
        return caught.get();
    }
    return MISSED;
}

/* The object is cut down to its base. */
EXPORT(by_base_value) int by_base_value(int value) {
    try {
        throw_derived(value);
    } catch (Base caught) {
        return caught.get();
    }
    return MISSED;
}

/* The part that the handler wants is not at the object's beginning. */
EXPORT(by_second_base) int by_second_base(int value) {
    try {
        throw_both(value);
    } catch (const Second &caught) {
        return caught.get() + (caught.second == value ? 0 : 10000);
    }
    return MISSED;
}

EXPORT(by_virtual_base) int by_virtual_base(int value) {
    try {
        throw_diamond(value);
    } catch (const Shared &caught) {
        return caught.shared;
    }
    return MISSED;
}

EXPORT(by_private_base) int by_private_base(int value) {
    try {
        throw_hidden(value);
    } catch (const Second &) {
        return MISSED;
    } catch (...) {
        return 3;
    }
    return MISSED;
}

NOINLINE static int base_of_twice(int value) {
    try {
        throw_twice(value);
    } catch (const Base &) {
        return MISSED;
    }
    return MISSED;
}

EXPORT(by_ambiguous_base) int by_ambiguous_base(int value) {
    try {
        return base_of_twice(value);
    } catch (const Other &caught) {
        return caught.value;
    }
}

NOINLINE static void throw_text() { throw "text"; }

/* The handler may add const, and not take it away. */
NOINLINE static int by_pointer_to_change() {
    try {
        throw_text();
    } catch (char *) {
        return MISSED;
    }
    return MISSED;
}

EXPORT(by_pointer) int by_pointer() {
    try {
        return by_pointer_to_change();
    } catch (const char *text) {
        int sum = 0;
        while (*text) sum += *text++;
        return sum;
    }
}

NOINLINE static void throw_pointer(Derived *object) { throw object; }

EXPORT(by_base_pointer) int by_base_pointer(int value) {
    Derived object(value);
    try {
        throw_pointer(&object);
    } catch (const Other *) {
        return MISSED;
    } catch (const Base *caught) {
        return caught->get();
    }
    return MISSED;
}

EXPORT(by_void_pointer) int by_void_pointer(int value) {
    Derived object(value);
    try {
        throw_pointer(&object);
    } catch (const void *caught) {
        return caught == &object ? value : MISSED;
    }
    return MISSED;
}

NOINLINE static void throw_color(int which) { throw which ? green : red; }

EXPORT(by_enum) int by_enum(int which) {
    try {
        throw_color(which);
    } catch (int) {
        return MISSED;
    } catch (Color caught) {
        return 10 + caught;
    }
    return MISSED;
}

/* --- Which handler -------------------------------------------------------- */

NOINLINE static void throw_one_of(int which) {
    switch (which) {
    case 1: throw 1;
    case 2: throw 2.5;
    case 3: throw Counted(3);
    case 4: throw Derived(4);
    case 5: throw Other(5);
    case 6: throw Both(6);
    case 7: throw "seven";
    case 8: throw 8LL;
    default: return;
    }
}

EXPORT(order) int order(int which) {
    try {
        throw_one_of(which);
    } catch (int) {
        return 11;
    } catch (double) {
        return 22;
    } catch (const Counted &) {
        return 33;
    } catch (const Derived &) {
        return 44;
    } catch (const Base &) {
        return 55;
    } catch (const Second &) {
        return 66;
    } catch (...) {
        return 99;
    }
    return 0;
}

EXPORT(any) int any(int which) {
    try {
        throw_one_of(which);
    } catch (...) {
        return 1;
    }
    return 0;
}

/* A handler nearer to the throw that is for something else. */
NOINLINE static int only_doubles(int which) {
    try {
        throw_one_of(which);
    } catch (double) {
        return 2;
    }
    return 0;
}

EXPORT(passes) int passes(int which) {
    try {
        return only_doubles(which);
    } catch (int) {
        return 101;
    } catch (...) {
        return 103;
    }
}

/* --- Thrown again, and from handlers --------------------------------------- */

NOINLINE static void inner_rethrow(int value) {
    try {
        throw_counted(value);
    } catch (...) {
        throw;
    }
}

NOINLINE static void outer_rethrow(int value) {
    try {
        inner_rethrow(value);
    } catch (Counted &caught) {
        caught.value += 100;
        throw;
    }
}

EXPORT(rethrow) int rethrow(int value) {
    try {
        outer_rethrow(value);
    } catch (Counted &caught) {
        return caught.value + 1000 * living;
    }
    return MISSED;
}

/* Caught within a handler, and the first one is still there afterwards. */
EXPORT(nested) int nested(int value) {
    try {
        throw_counted(value);
    } catch (const Counted &first) {
        int inner = 0;
        try {
            throw_counted(value + 1);
        } catch (const Counted &second) {
            inner = second.value + 100 * living;
        }
        return first.value + inner + 1000 * living;
    }
    return MISSED;
}

NOINLINE static void throw_from_handler(int value) {
    try {
        throw_an_int(value);
    } catch (int caught) {
        throw Counted(caught + 1);
    }
}

EXPORT(replaced) int replaced(int value) {
    try {
        throw_from_handler(value);
    } catch (const Counted &caught) {
        return caught.value + 100 * living;
    }
    return MISSED;
}

/* After another one has been thrown and caught in its handler, the first is
 * what is thrown again. */
NOINLINE static void rethrow_after_another(int value) {
    try {
        throw_counted(value);
    } catch (...) {
        try {
            throw_an_int(7);
        } catch (int) {
        }
        throw;
    }
}

EXPORT(rethrow_first) int rethrow_first(int value) {
    try {
        rethrow_after_another(value);
    } catch (const Counted &caught) {
        return caught.value;
    } catch (int) {
        return MISSED;
    }
    return MISSED;
}

/* --- Destructors ------------------------------------------------------------ */

NOINLINE static void throw_below(int calls, int value) {
    Local local;
    if (calls > 1)
        throw_below(calls - 1, value);
    else
        throw_an_int(value);
}

EXPORT(destructors) int destructors(int calls) {
    destroyed = 0;
    try {
        throw_below(calls, 1);
    } catch (int) {
        return destroyed;
    }
    return MISSED;
}

EXPORT(destroyed_so_far) int destroyed_so_far() { return destroyed; }

namespace {
static int seen_by_destructor;
struct Observer {
    Observer() {}
    ~Observer() { seen_by_destructor = __cxa_uncaught_exceptions(); }
};
} // namespace

NOINLINE static void throw_past_observer(int value) {
    Observer observer;
    throw_an_int(value);
}

/* How many are not caught yet: during unwinding, and in the handler; both
 * counted from what it was before. */
EXPORT(uncaught_while) int uncaught_while() {
    int before = __cxa_uncaught_exceptions();
    try {
        throw_past_observer(1);
    } catch (int) {
        return 10 * (seen_by_destructor - before) + (__cxa_uncaught_exceptions() - before);
    }
    return MISSED;
}

EXPORT(uncaught_count) int uncaught_count() { return __cxa_uncaught_exceptions(); }

/* Catches one of its own while another is on its way. */
namespace {
struct Busy {
    Busy() {}
    ~Busy() {
        try {
            throw_counted(5);
        } catch (const Counted &) {
            destroyed++;
        }
    }
};
} // namespace

NOINLINE static void throw_past_busy(int value) {
    Busy busy;
    throw_an_int(value);
}

EXPORT(caught_in_destructor) int caught_in_destructor(int value) {
    destroyed = 0;
    try {
        throw_past_busy(value);
    } catch (int caught) {
        return caught + 100 * destroyed + 1000 * living;
    }
    return MISSED;
}

/* The memory of an object whose constructor throws is given back. */
namespace {
struct Fails {
    Local local;
    int value;
    explicit Fails(int v) : value(v) { throw_an_int(v); }
};
} // namespace

EXPORT(constructor) int constructor(int value) {
    destroyed = 0;
    try {
        Fails *made = new Fails(value);
        delete made;
    } catch (int caught) {
        return caught + 100 * destroyed;
    }
    return MISSED;
}

/* --- Many -------------------------------------------------------------------- */

NOINLINE static int one_round(int value) {
    try {
        throw_counted(value);
    } catch (const Counted &caught) {
        return caught.value;
    }
    return MISSED;
}

EXPORT(rounds) i64 rounds(int times) {
    i64 sum = 0;
    for (int i = 1; i <= times; i++) sum += one_round(i);
    return sum;
}

EXPORT(spin_throws) void spin_throws() {
    for (;;) one_round(1);
}

/* --- Kept for later ------------------------------------------------------------ */

static void *kept;

/* What std::current_exception does. */
EXPORT(keep) int keep(int value) {
    try {
        throw_counted(value);
    } catch (const Counted &) {
        __cxa_decrement_exception_refcount(kept);
        kept = __cxa_current_primary_exception();
    }
    return living;
}

/* What std::rethrow_exception does. */
EXPORT(throw_kept) int throw_kept() {
    try {
        __cxa_rethrow_primary_exception(kept);
    } catch (const Counted &caught) {
        return caught.value + 1000 * living;
    }
    return -1;
}

EXPORT(forget) int forget() {
    __cxa_decrement_exception_refcount(kept);
    kept = nullptr;
    return living;
}

EXPORT(current_type) int current_type(int which) {
    try {
        throw_one_of(which);
    } catch (...) {
        const std::type_info *type = __cxa_current_exception_type();
        return *type == typeid(int) ? 1 : *type == typeid(double) ? 2 : *type == typeid(Counted) ? 3 : 0;
    }
    return __cxa_current_exception_type() ? MISSED : -1;
}

/* --- With longjmp ----------------------------------------------------------------- */

/* A handler for everything is none for a jump. */
NOINLINE static int jump_past_handler(int value) {
    try {
        jump(value);
    } catch (...) {
        return MISSED;
    }
    return MISSED;
}

EXPORT(jump_past) int jump_past(int value) {
    int got = setjmp(here);
    if (got) return got;
    return jump_past_handler(value);
}

/* A setjmp is none for an exception. */
NOINLINE static int throw_past_setjmp(int value) {
    jmp_buf mine;
    if (setjmp(mine)) return MISSED;
    throw_an_int(value);
    return MISSED;
}

EXPORT(throw_past) int throw_past(int value) {
    try {
        return throw_past_setjmp(value);
    } catch (int caught) {
        return caught;
    }
}

NOINLINE static void jump_or_throw(int which, int value) {
    if (which == 1) throw value;
    if (which == 2) jump(value);
}

/* Both in one function. */
EXPORT(both) int both(int which, int value) {
    int got = setjmp(here);
    if (got) return 2000 + got;
    try {
        jump_or_throw(which, value);
    } catch (int caught) {
        return 1000 + caught;
    }
    return 0;
}

/* First one, then the other, in turns. */
EXPORT(in_turns) int in_turns(int times) {
    int sum = 0;
    for (int i = 0; i < times; i++) sum += both(1 + i % 2, i);
    return sum;
}

/* --- What is not caught -------------------------------------------------------- */

EXPORT(uncaught) void uncaught(int value) { throw_an_int(value); }

/* Destructors and handlers for other types lie between. */
NOINLINE static int between(int value) {
    Local local;
    try {
        throw_below(2, value);
    } catch (double) {
        return MISSED;
    }
    return MISSED;
}

EXPORT(uncaught_below) int uncaught_below(int value) {
    destroyed = 0;
    return between(value);
}

EXPORT(uncaught_rethrown) void uncaught_rethrown(int value) { inner_rethrow(value); }

/* What an exception of type int or Counted holds, for a host that has its
 * address. */
EXPORT(value_of) int value_of(const int *exception) { return *exception; }

/* There is none. */
EXPORT(rethrow_nothing) int rethrow_nothing() {
    try {
        throw;
    } catch (...) {
        return MISSED;
    }
}

NOINLINE static void promises_not_to(int value) noexcept { throw_an_int(value); }

EXPORT(noexcept_throws) int noexcept_throws(int value) {
    try {
        promises_not_to(value);
    } catch (...) {
        return MISSED;
    }
    return MISSED;
}

NOINLINE static int trap_at_zero(int value) {
    if (!value) __builtin_trap();
    return value;
}

EXPORT(trap_in_try) int trap_in_try(int value) {
    try {
        return trap_at_zero(value);
    } catch (...) {
        return MISSED;
    }
}

EXPORT(import_in_try) int import_in_try(int value) {
    try {
        return host_call(value);
    } catch (...) {
        return MISSED;
    }
}

/* The host may call `uncaught` meanwhile, from the import. */
EXPORT(import_in_handler) int import_in_handler(int value) {
    try {
        throw_counted(value);
    } catch (const Counted &caught) {
        return host_call(caught.value) + 1000 * caught.value;
    }
    return MISSED;
}

EXPORT(exit_in_try) int exit_in_try(int status) {
    try {
        exit(status);
    } catch (...) {
        return MISSED;
    }
}
