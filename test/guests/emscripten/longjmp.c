/* setjmp and longjmp as LLVM makes them for Emscripten: in a function that has
 * a setjmp each call goes through an invoke_* of the host. README.md says what
 * each export must give.
 */
#include "emscripten.h"

NORETURN void exit(int status);
NORETURN void _abort_js(void);
NORETURN void __assert_fail(const char *condition, const char *file, int line, const char *function);
NORETURN WASI(proc_exit) void proc_exit(int status);
int host_call(int value); /* nothing that Emscripten has: for the test */

static jmp_buf here;
static int landed; /* jumps that have arrived, in all calls */

NOINLINE static void jump_to(jmp_buf to, int value) { longjmp(to, value); }
NOINLINE static void jump(int value) { jump_to(here, value); }

/* Shows that the constructors have run, and how often. */
static volatile int constructions; /* or the compiler would run them itself */
__attribute__((constructor)) static void construct(void) { constructions = constructions + 1; }
EXPORT(constructed) int constructed(void) { return constructions; }

EXPORT(count) int count(void) { return landed; }

/* --- Where a jump arrives, and with what --------------------------------- */

EXPORT(direct) int direct(int value) {
    int got = setjmp(here);
    if (got) {
        landed++;
        return got;
    }
    jump(value);
    return MISSED;
}

/* Three functions with a setjmp of their own lie between. */
static int entered, left;

NOINLINE static void third(int value) {
    jmp_buf mine;
    if (setjmp(mine)) left += 100;
    entered++;
    jump(value);
    left++;
}

NOINLINE static void second(int value) {
    jmp_buf mine;
    if (setjmp(mine)) left += 100;
    entered++;
    third(value);
    left++;
}

NOINLINE static void first(int value) {
    jmp_buf mine;
    if (setjmp(mine)) left += 100;
    entered++;
    second(value);
    left++;
}

EXPORT(levels) int levels(int value) {
    entered = left = 0;
    int got = setjmp(here);
    if (got) return got + 100 * entered + 1000 * left;
    first(value);
    return MISSED;
}

static jmp_buf outer, inner;
static int passed_inner;

NOINLINE static int within_outer(int which, int value) {
    int got = setjmp(inner);
    if (got) {
        passed_inner = 1;
        if (which == 3) jump_to(outer, got + 1);
        return 1000 + got;
    }
    if (which == 1 || which == 3) jump_to(inner, value);
    if (which == 2) jump_to(outer, value);
    return 1;
}

EXPORT(nested) int nested(int which, int value) {
    passed_inner = 0;
    int got = setjmp(outer);
    if (got) return (passed_inner ? 3000 : 2000) + got;
    return within_outer(which, value);
}

/* The same setjmp returns as often as it is jumped to. */
EXPORT(again) int again(int times) {
    volatile int returned = 0;
    int got = setjmp(here);
    returned++;
    if (got < times) jump(got + 1);
    return returned;
}

EXPORT(two_places) int two_places(int which, int value) {
    jmp_buf one, two;
    int got = setjmp(one);
    if (got) return 1000 + got;
    got = setjmp(two);
    if (got) return 2000 + got;
    jump_to(which == 1 ? one : two, value);
    return MISSED;
}

/* More setjmps in one call than the table has room for at first. */
EXPORT(many_places) int many_places(int times) {
    volatile int arrived = 0;
    for (volatile int i = 0; i < times; i++) {
        if (setjmp(here))
            arrived++;
        else
            jump(1);
    }
    return arrived;
}

/* One function, many calls of it: the jump goes to the right one. */
#define DEEPEST 60
static jmp_buf *frames[DEEPEST];

NOINLINE static int frame(int depth, int deepest, int target) {
    jmp_buf mine;
    if (setjmp(mine)) return 1000 * depth + target;
    frames[depth] = &mine;
    if (depth == deepest) jump_to(*frames[target], 1);
    return frame(depth + 1, deepest, target);
}

EXPORT(recursion) int recursion(int deepest, int target) {
    if (deepest < 0 || deepest >= DEEPEST || target < 0 || target > deepest) return -1;
    return frame(0, deepest, target);
}

EXPORT(locals) int locals(int value) {
    volatile int changed = value;
    if (setjmp(here)) return changed;
    changed = value + 1;
    jump(1);
    return MISSED;
}

/* Each round has a table and a jump of its own. */
NOINLINE static int round_trip(int value) {
    int got = setjmp(here);
    if (got) return got;
    jump(value);
    return MISSED;
}

EXPORT(rounds) i64 rounds(int times) {
    i64 sum = 0;
    for (int i = 1; i <= times; i++) sum += round_trip(i);
    return sum;
}

/* --- Functions of all types, called by way of invoke_* ------------------- */

NOINLINE static i64 add_wide(i64 value) {
    if (!value) jump(2);
    return value + 1;
}

EXPORT(wide) i64 wide(i64 value) {
    int got = setjmp(here);
    return got ? -got : add_wide(value);
}

NOINLINE static float add_single(float value) {
    if (value == 0) jump(2);
    return value + 1;
}

EXPORT(single) float single(float value) {
    int got = setjmp(here);
    return got ? (float)-got : add_single(value);
}

NOINLINE static double add_double(double value) {
    if (value == 0) jump(2);
    return value + 1;
}

EXPORT(doubled) double doubled(double value) {
    int got = setjmp(here);
    return got ? (double)-got : add_double(value);
}

NOINLINE static double sum(int a, i64 b, float c, double d, const int *e, int f, int g, int h) {
    if (h < 0) jump(-h);
    return a + (double)b + c + d + *e + f + g + h;
}

EXPORT(mixed) double mixed(int a, i64 b, float c, double d, int e) {
    static int at;
    at = a;
    int got = setjmp(here);
    return got ? (double)-got : sum(a, b, c, d, &at, a, a, e);
}

/* --- Calls by table index ------------------------------------------------ */

NOINLINE static int plus_one(int value) { return value + 1; }
NOINLINE static int jump_with(int value) { longjmp(here, value); }
NOINLINE static i64 other_type(i64 value) { return value; }

typedef int function(int);

EXPORT(indirect) int indirect(int which, int value) {
    function *volatile f;
    switch (which) {
    case 0: f = plus_one; break;
    case 1: f = jump_with; break;
    case 2: f = host_call; break;
    case 3: f = 0; break;                      /* an empty entry */
    case 4: f = (function *)other_type; break; /* another type */
    default: f = (function *)(uptr)100000; break; /* no entry */
    }
    int got = setjmp(here);
    if (got) return 1000 + got;
    return f(value);
}

/* --- The stack ------------------------------------------------------------ */

static uptr stack_at_jump;

/* Each call needs the room of the one before, so that this stays a recursion. */
NOINLINE static int on_the_stack(int calls, volatile u8 *above) {
    volatile u8 room[256];
    room[0] = (u8)(above[0] + 1);
    if (!calls) {
        stack_at_jump = emscripten_stack_get_current();
        jump(1);
        return MISSED;
    }
    return on_the_stack(calls - 1, room) + room[0];
}

/* How far the stack pointer is from where it was, after a jump from so many
 * calls with 256 bytes of stack each. */
EXPORT(stack_moved) i64 stack_moved(int calls) {
    uptr before = emscripten_stack_get_current();
    if (setjmp(here)) return (i64)emscripten_stack_get_current() - (i64)before;
    volatile u8 none = 0;
    return on_the_stack(calls, &none) + MISSED;
}

/* How far it was from there when the jump was made. */
EXPORT(stack_depth) i64 stack_depth(int calls) {
    uptr before = emscripten_stack_get_current();
    if (setjmp(here)) return (i64)before - (i64)stack_at_jump;
    volatile u8 none = 0;
    return on_the_stack(calls, &none) + MISSED;
}

/* --- What is not caught --------------------------------------------------- */

NOINLINE static int trap_at_zero(int value) {
    if (!value) __builtin_trap();
    return value;
}

EXPORT(trap_in_invoke) int trap_in_invoke(int value) {
    if (setjmp(here)) return MISSED;
    return trap_at_zero(value);
}

/* The compiler could make a loop of it. */
__attribute__((disable_tail_calls))
NOINLINE static int no_end(int value) { return value ? no_end(value + 1) - 1 : 0; }

EXPORT(overflow_in_invoke) int overflow_in_invoke(void) {
    if (setjmp(here)) return MISSED;
    return no_end(1);
}

/* The import itself is called by way of invoke_*. */
EXPORT(import_in_invoke) int import_in_invoke(int value) {
    if (setjmp(here)) return MISSED;
    return host_call(value);
}

NOINLINE static int ask(int value) { return host_call(value) + 1; }

/* A function that calls the import is. */
EXPORT(import_below_invoke) int import_below_invoke(int value) {
    if (setjmp(here)) return MISSED;
    return ask(value);
}

/* The answer of the host is jumped with. */
EXPORT(import_then_jump) int import_then_jump(int value) {
    int got = setjmp(here);
    if (got) return 1000 + got;
    jump(ask(value));
    return MISSED;
}

/* For a host that calls the guest from an import: no setjmp of that call. */
EXPORT(jump_from_outside) void jump_from_outside(int value) { jump(value); }

EXPORT(uncaught) int uncaught(int value) {
    static jmp_buf nowhere;
    jmp_buf mine;
    if (setjmp(mine)) return MISSED;
    jump_to(nowhere, value);
    return MISSED;
}

/* The function that has called setjmp has ended. */
NOINLINE static void end_of_frame(jmp_buf to) {
    if (setjmp(to)) landed += MISSED;
}

EXPORT(uncaught_late) int uncaught_late(int value) {
    jmp_buf late;
    end_of_frame(late);
    jump_to(late, value);
    return MISSED;
}

EXPORT(exit_in_invoke) int exit_in_invoke(int status) {
    if (setjmp(here)) return MISSED;
    exit(status);
}

NOINLINE static int leave(int status) {
    if (status >= 0) exit(status);
    return status;
}

EXPORT(exit_below_invoke) int exit_below_invoke(int status) {
    if (setjmp(here)) return MISSED;
    return leave(status);
}

EXPORT(proc_exit_in_invoke) int proc_exit_in_invoke(int status) {
    if (setjmp(here)) return MISSED;
    proc_exit(status);
}

EXPORT(abort_in_invoke) int abort_in_invoke(void) {
    if (setjmp(here)) return MISSED;
    _abort_js();
}

EXPORT(assert_in_invoke) int assert_in_invoke(void) {
    if (setjmp(here)) return MISSED;
    __assert_fail("1 == 2", "longjmp.c", 42, "assert_in_invoke");
}

/* --- What never ends ------------------------------------------------------ */

EXPORT(spin_jumps) void spin_jumps(void) {
    for (;;) round_trip(1);
}

NOINLINE static int spin(void) {
    for (volatile int i = 0;; i++) {}
}

EXPORT(spin_in_invoke) int spin_in_invoke(void) {
    if (setjmp(here)) return MISSED;
    return spin();
}
