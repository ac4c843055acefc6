/* The part of Emscripten's C library that is linked into each module and that
 * its host, or the code LLVM emits, calls: what is thrown, setjmp and longjmp,
 * the stack, the heap.
 *
 * With -DOLD the stack functions have their former names, and the second
 * result (tempRet0) is kept by the host.
 */
#include "emscripten.h"

#define PAGE 65536
#define NULL ((void *)0)

#ifdef __wasm64__
__asm__(".globaltype __stack_pointer, i64");
#else
__asm__(".globaltype __stack_pointer, i32");
#endif

int emscripten_resize_heap(size wanted);
_Noreturn void _emscripten_throw_longjmp(void);

/* --- What is thrown ------------------------------------------------------ */

/* What an invoke_* has caught, until its caller has looked: 0 is nothing, 1 an
 * exception, anything else the jmp_buf that longjmp was called with. */
uptr __THREW__;
int __threwValue;

/* The host calls this with 1 for whatever it has caught; a longjmp has set its
 * own before and keeps it. */
EXPORT(setThrew) void setThrew(uptr threw, int value) {
    if (__THREW__) return;
    __THREW__ = threw;
    __threwValue = value;
}

/* The second result of a function. */
#ifdef OLD
u32 getTempRet0(void);
void setTempRet0(u32 value);
#else
static u32 temp_ret;
#ifdef __wasm64__ /* each build has one of the two names that hosts look for */
EXPORT(_emscripten_tempret_get)
#else
EXPORT(getTempRet0)
#endif
u32 getTempRet0(void) { return temp_ret; }
#ifdef __wasm64__
EXPORT(_emscripten_tempret_set)
#else
EXPORT(setTempRet0)
#endif
void setTempRet0(u32 value) { temp_ret = value; }
#endif

/* --- setjmp and longjmp --------------------------------------------------
 * LLVM keeps a table for each call of a function that has a setjmp: it
 * allocates 40 bytes with room for 4 entries and an end mark, has saveSetjmp
 * fill it, asks testSetjmp whether a jump is meant for this call, and frees
 * the table when the function ends. */

/* 8 bytes in both widths, as the 40 bytes are the same in both. An id of 0
 * marks the end. */
typedef struct {
    u32 id;
    u32 label;
} entry;

static u32 last_id;

/* Makes a new id for this setjmp and notes the place in the function (the
 * label) that it stands for. The table may move; its size goes to tempRet0. */
entry *saveSetjmp(uptr *env, u32 label, entry *table, u32 room) {
    u32 used = 0;
    if (!++last_id) last_id = 1;
    while (used < room && table[used].id) used++;
    if (used == room) {
        entry *larger = malloc((2 * room + 1) * sizeof(entry));
        if (!larger) __builtin_trap();
        __builtin_memcpy(larger, table, room * sizeof(entry));
        free(table);
        table = larger;
        room *= 2;
    }
    table[used] = (entry){last_id, label};
    table[used + 1].id = 0;
    *env = last_id;
    setTempRet0(room);
    return table;
}

/* The label of a setjmp of this call, or 0. */
u32 testSetjmp(uptr id, entry *table, u32 room) {
    for (u32 i = 0; i < room && table[i].id; i++)
        if (table[i].id == id) return table[i].label;
    return 0;
}

/* setjmp must not return 0 twice. */
_Noreturn void emscripten_longjmp(uptr env, int value) {
    setThrew(env, value ? value : 1);
    _emscripten_throw_longjmp();
}

/* --- The stack ----------------------------------------------------------- */

extern u8 __stack_low[], __stack_high[]; /* set by the linker */
static uptr stack_base, stack_end;

static uptr get_stack(void) {
    uptr at;
    __asm__ volatile("global.get __stack_pointer\n"
                     "local.set %0" : "=r"(at));
    return at;
}

static void set_stack(uptr at) {
    __asm__ volatile("local.get %0\n"
                     "global.set __stack_pointer" : : "r"(at) : "memory");
}

EXPORT(emscripten_stack_init) void emscripten_stack_init(void) {
    stack_base = (uptr)__stack_high;
    stack_end = (uptr)__stack_low;
}

EXPORT(emscripten_stack_get_base) uptr emscripten_stack_get_base(void) { return stack_base; }
EXPORT(emscripten_stack_get_end) uptr emscripten_stack_get_end(void) { return stack_end; }
EXPORT(emscripten_stack_get_free) uptr emscripten_stack_get_free(void) { return get_stack() - stack_end; }

#ifdef OLD
EXPORT(stackSave)
#else
EXPORT(emscripten_stack_get_current)
#endif
uptr emscripten_stack_get_current(void) { return get_stack(); }

#ifdef OLD
EXPORT(stackRestore)
#else
EXPORT(_emscripten_stack_restore)
#endif
void _emscripten_stack_restore(uptr at) { set_stack(at); }

#ifdef OLD
EXPORT(stackAlloc)
#else
EXPORT(_emscripten_stack_alloc)
#endif
uptr _emscripten_stack_alloc(size bytes) {
    uptr at = (get_stack() - bytes) & ~(uptr)15;
    set_stack(at);
    return at;
}

/* --- The heap ------------------------------------------------------------
 * Blocks start with a header of 16 bytes and are multiples of 16 bytes long.
 * The free ones are in a list in order of addresses. */

typedef struct block {
    u64 bytes; /* with the header */
    union {
        struct block *next; /* while free */
        u64 mark;           /* while in use */
    };
} block;
_Static_assert(sizeof(block) == 16, "keeps what malloc gives aligned to 16");

#define IN_USE 0xA110CA7EDULL
#define LEAST 32 /* a block that is smaller is of no use */

extern u8 __heap_base[]; /* set by the linker */
static block *free_list;
static u8 heap_is_there;
static size bytes_in_use;

static void give_back(block *b) {
    block *before = NULL, *after = free_list;
    while (after && after < b) {
        before = after;
        after = after->next;
    }
    b->next = after;
    if (before)
        before->next = b;
    else
        free_list = b;
    if (after && (u8 *)b + b->bytes == (u8 *)after) {
        b->bytes += after->bytes;
        b->next = after->next;
    }
    if (before && (u8 *)before + before->bytes == (u8 *)b) {
        before->bytes += b->bytes;
        before->next = b->next;
    }
}

static size memory_bytes(void) { return __builtin_wasm_memory_size(0) * (size)PAGE; }

static void add_memory(uptr from, uptr to) {
    block *b = (block *)((from + 15) & ~(uptr)15);
    if ((uptr)b + LEAST > to) return;
    b->bytes = to - (uptr)b;
    give_back(b);
}

/* The host grows the memory, as in Emscripten, and decides by how much. */
static int more_memory(size need) {
    size old = memory_bytes();
    if (old + need < old || !emscripten_resize_heap(old + need)) return 0;
    add_memory(old, memory_bytes());
    return 1;
}

static void *take(block *before, block *b, u64 need) {
    block *rest = b->next;
    if (b->bytes - need >= LEAST) {
        rest = (block *)((u8 *)b + need);
        rest->bytes = b->bytes - need;
        rest->next = b->next;
        b->bytes = need;
    }
    if (before)
        before->next = rest;
    else
        free_list = rest;
    b->mark = IN_USE;
    bytes_in_use += b->bytes;
    return b + 1;
}

EXPORT(malloc) void *malloc(size bytes) {
    if (!heap_is_there) {
        heap_is_there = 1;
        add_memory((uptr)__heap_base, memory_bytes());
    }
    u64 need = ((u64)bytes + sizeof(block) + 15) & ~15ULL;
    if (need < bytes || need != (size)need) return NULL;
    if (need < LEAST) need = LEAST;
    do {
        block *before = NULL;
        for (block *b = free_list; b; before = b, b = b->next)
            if (b->bytes >= need) return take(before, b, need);
    } while (more_memory(need));
    return NULL;
}

EXPORT(free) void free(void *address) {
    if (!address) return;
    block *b = (block *)address - 1;
    if (b->mark != IN_USE) __builtin_trap(); /* freed twice, or never given out */
    b->mark = 0;
    bytes_in_use -= b->bytes;
    give_back(b);
}

/* The host takes the memory of a mapped file from here. */
EXPORT(emscripten_builtin_memalign) void *emscripten_builtin_memalign(size alignment, size bytes) {
    if (alignment <= 16) return malloc(bytes);
    size most = bytes + alignment + LEAST;
    if (most < bytes) return NULL;
    u8 *all = malloc(most);
    if (!all || !((uptr)all & (alignment - 1))) return all;
    block *first = (block *)all - 1;
    uptr at = ((uptr)all + LEAST + alignment - 1) & ~(uptr)(alignment - 1);
    block *b = (block *)at - 1;
    u64 front = (u8 *)b - (u8 *)first;
    b->bytes = first->bytes - front;
    b->mark = IN_USE;
    first->bytes = front;
    bytes_in_use -= front;
    give_back(first);
    return (void *)at;
}

/* Bytes that have been given out and not freed, with their headers. */
EXPORT(heap_used) size heap_used(void) { return bytes_in_use; }
