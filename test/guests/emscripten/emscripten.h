/* What the guests of this directory share. They import what code built with
 * Emscripten imports: host.txt has the names in "env", the others say their
 * module. */
#ifndef EMSCRIPTEN_H
#define EMSCRIPTEN_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef __UINTPTR_TYPE__ uptr;
typedef __SIZE_TYPE__ size;

#define NOINLINE __attribute__((noinline))
#define WASI(name) \
    __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

#ifdef __cplusplus
#define C extern "C"
#define NORETURN [[noreturn]]
#else
#define C
#define NORETURN _Noreturn
#endif
#define EXPORT(name) C __attribute__((export_name(#name)))

/* What a jump or an exception has to have skipped, or what has to have ended
 * the call, gives this. */
#define MISSED 9999

/* 64-bit integers at the border. With -DHALVES they are passed as two halves,
 * the lower one first, and the upper half of a result is in getTempRet0: so
 * Emscripten makes 32-bit modules for hosts without BigInt. */
#ifdef HALVES
#define WIDE(name) u32 name##_low, u32 name##_high
#define PASS_WIDE(value) (u32)(value), (u32)((u64)(value) >> 32)
#define WIDE_RESULT u32
#define GET_WIDE(call) join_halves(call)
C u32 getTempRet0(void);
static inline i64 join_halves(u32 low) { return (i64)((u64)getTempRet0() << 32 | low); }
#else
#define WIDE(name) i64 name
#define PASS_WIDE(value) (i64)(value)
#define WIDE_RESULT i64
#define GET_WIDE(call) (call)
#endif

/* runtime.c */
C void *malloc(size bytes);
C void free(void *address);
C uptr emscripten_stack_get_current(void);

typedef struct {
    uptr id; /* of the setjmp that filled it in; nothing else is kept */
    uptr unused[15];
} jmp_buf[1];
C int setjmp(jmp_buf) __attribute__((returns_twice));
C NORETURN void longjmp(jmp_buf, int);

#endif
