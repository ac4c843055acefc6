/* Plain computing in 64-bit WebAssembly, for benchmarks: a loop over bytes,
 * calls, and a run through memory. */

typedef unsigned char u8;
typedef unsigned long u64;

#define EXPORT(name) __attribute__((export_name(#name)))
#define PAGE 65536UL

extern u8 __heap_base[]; /* set by the linker: the first byte after the stack */

/* Makes sure that length bytes follow the stack; 0 when that is refused. */
static u8 *room(u64 length) {
    u64 have = __builtin_wasm_memory_size(0) * PAGE - (u64)__heap_base;
    if (length > (1UL << 47)) return 0;
    if (length > have && __builtin_wasm_memory_grow(0, (length - have) / PAGE + 1) == (u64)-1)
        return 0;
    return __heap_base;
}

/* How many primes there are up to n: sieve(100) = 25. 0 if memory is short. */
EXPORT(sieve) u64 sieve(u64 n) {
    u64 count = 0;
    if (n < 2 || n > (1UL << 40)) return 0; /* more than any memory */
    u8 *crossed = room(n + 1);
    if (!crossed) return 0;
    for (u64 i = 0; i <= n; i++) crossed[i] = 0;
    for (u64 i = 2; i <= n; i++) {
        if (crossed[i]) continue;
        count++;
        if (i > n / i) continue; /* i * i is beyond n */
        for (u64 k = i * i; k <= n; k += i) crossed[k] = 1;
    }
    return count;
}

/* fib(10) = 55, the slow way: about 1.6 ^ n calls. */
EXPORT(fib) __attribute__((noinline)) u64 fib(u64 n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

/* Writes length bytes (0, 1, ... 255, 0, ...) and adds them up again.
 * mem_sum(256) = 32640. 0 if memory is short. */
EXPORT(mem_sum) u64 mem_sum(u64 length) {
    volatile u8 *at = room(length);
    u64 sum = 0;
    if (!at) return 0;
    for (u64 i = 0; i < length; i++) at[i] = (u8)i;
    for (u64 i = 0; i < length; i++) sum += at[i];
    return sum;
}
