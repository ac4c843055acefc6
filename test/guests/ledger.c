/* A token ledger: a small AO process for 64-bit WebAssembly, without a C
 * library. The host writes a message and its environment as JSON into the
 * guest's memory, calls handle, and reads a JSON answer:
 *
 *   handle(message, environment) -> answer      all NUL-terminated JSON
 *   malloc(size) -> address or 0, free(address)
 *
 * Actions (the tag "Action" of the message):
 *   Info      name, owner, minted total, number of accounts in use
 *   Mint      Quantity, Recipient (default: the sender); only the owner
 *   Transfer  Quantity, Recipient
 *   Balance   Account or Recipient or Target (default: the sender)
 *   Balances  all accounts that hold something
 *
 * Every change is first written to the host's journal by ledger.audit. The
 * balances change only after it has answered, so a host that fails there
 * leaves the ledger as it was. The host must not call handle from audit.
 *
 * An answer has a key "Error" only when there is an error: HyperBEAM takes
 * the mere presence of the key for a failure.
 */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64; /* 64 bits on wasm64, like a pointer */
typedef long i64;
_Static_assert(sizeof(u64) == 8 && sizeof(void *) == 8, "wasm64 only");

#define EXPORT(name) __attribute__((export_name(#name)))
#define PAGE 65536UL

/* Writes one journal line; answers its number, negative for a refusal. */
__attribute__((import_module("ledger"), import_name("audit")))
i64 audit(const u8 *line, u64 length, u64 quantity);

extern u8 __heap_base[]; /* set by the linker: the first byte after the stack */

/* --- Memory ------------------------------------------------------------- */

static void copy(u8 *to, const u8 *from, u64 n) {
    __builtin_memcpy(to, from, n); /* becomes memory.copy */
}

/* Every block starts with this header and is a multiple of 16 bytes long. A
 * used block's mark is made from its address, so free can tell an address
 * that malloc gave out from any other. A free block has its successor in the
 * list there; the list is in order of addresses. */
typedef struct block {
    u64 size; /* with the header */
    union {
        u64 mark;
        struct block *next;
    };
} block;

#define MARK 0xA110CA7EDB10C000UL
static block *free_list;
static u64 heap_start, heap_end;

static u64 memory_bytes(void) { return __builtin_wasm_memory_size(0) * PAGE; }

/* Puts a block into the free list and joins it with its neighbours. */
static void give_back(block *b) {
    block *before = 0, *after = free_list;
    while (after && after < b) {
        before = after;
        after = after->next;
    }
    b->next = after;
    if (before)
        before->next = b;
    else
        free_list = b;
    if (after && (u8 *)b + b->size == (u8 *)after) {
        b->size += after->size;
        b->next = after->next;
    }
    if (before && (u8 *)before + before->size == (u8 *)b) {
        before->size += b->size;
        before->next = b->next;
    }
}

/* Makes the memory larger by at least need bytes; 0 when that is refused. */
static int more_memory(u64 need) {
    u64 pages = need / PAGE + 1;
    u64 old = __builtin_wasm_memory_grow(0, pages);
    if (old == (u64)-1) return 0;
    /* Not heap_end: the host may have grown the memory too. */
    block *b = (block *)(old * PAGE);
    b->size = pages * PAGE;
    heap_end = (old + pages) * PAGE;
    give_back(b);
    return 1;
}

EXPORT(malloc) void *malloc(u64 size) {
    if (!heap_start) {
        heap_start = ((u64)__heap_base + 15) & ~15UL;
        heap_end = memory_bytes();
        if (heap_end >= heap_start + sizeof(block)) {
            block *all = (block *)heap_start;
            all->size = heap_end - heap_start;
            give_back(all);
        }
    }
    if (size > (1UL << 47)) return 0; /* also keeps the sums below from wrapping */
    u64 need = (size + sizeof(block) + 15) & ~15UL;
    if (need < 32) need = 32;
    for (;;) {
        block *before = 0;
        for (block *b = free_list; b; before = b, b = b->next) {
            if (b->size < need) continue;
            block *rest = b->next;
            if (b->size - need >= 32) {
                rest = (block *)((u8 *)b + need);
                rest->size = b->size - need;
                rest->next = b->next;
                b->size = need;
            }
            if (before)
                before->next = rest;
            else
                free_list = rest;
            b->mark = MARK ^ (u64)b;
            return b + 1;
        }
        if (!more_memory(need)) return 0;
    }
}

/* The answer of the last handle, as long as nobody has freed it. */
static u8 *last_answer;

/* Ignores what malloc did not give out or what is free already. */
EXPORT(free) void free(void *address) {
    u64 at = (u64)address;
    if (at % 16 || at < heap_start + sizeof(block) || at >= heap_end || !heap_start) return;
    block *b = (block *)address - 1;
    if (b->mark != (MARK ^ (u64)b)) return;
    if (address == last_answer) last_answer = 0;
    b->mark = 0;
    give_back(b);
}

/* Memory for one message only. It is given back when the next message comes,
 * so that a call which trapped half-way loses nothing. */
typedef struct scratch {
    struct scratch *next;
    u64 unused;
} scratch;
static scratch *scratches;

static void *scratch_new(u64 size) {
    scratch *s = malloc(size + sizeof(scratch));
    if (!s) return 0;
    s->next = scratches;
    scratches = s;
    return s + 1;
}

static void scratch_clear(void) {
    while (scratches) {
        scratch *next = scratches->next;
        free(scratches);
        scratches = next;
    }
}

/* --- Text --------------------------------------------------------------- */

/* Text with a length: it may hold any byte, also NUL. */
typedef struct {
    const u8 *at;
    u64 n;
} text;

static text c_text(const char *s) {
    u64 n = 0;
    while (s[n]) n++;
    return (text){(const u8 *)s, n};
}

static int same(text a, text b) {
    if (a.n != b.n) return 0;
    for (u64 i = 0; i < a.n; i++)
        if (a.at[i] != b.at[i]) return 0;
    return 1;
}

static int is(text t, const char *words) { return same(t, c_text(words)); }

/* A text that grows. When memory runs out it is marked and takes no more. */
typedef struct {
    u8 *at;
    u64 n, room;
    int failed;
} out;

static void reserve(out *o, u64 more) {
    if (o->failed || o->room - o->n >= more) return;
    u64 room = o->room * 2 + more + 256;
    u8 *bigger = malloc(room);
    if (!bigger) {
        o->failed = 1;
        return;
    }
    copy(bigger, o->at, o->n);
    free(o->at);
    o->at = bigger;
    o->room = room;
}

static void put_byte(out *o, u8 c) {
    reserve(o, 1);
    if (!o->failed) o->at[o->n++] = c;
}

static void put(out *o, text t) {
    reserve(o, t.n);
    if (o->failed) return;
    copy(o->at + o->n, t.at, t.n);
    o->n += t.n;
}

static void say(out *o, const char *words) { put(o, c_text(words)); }

static text number_text(u64 n, u8 digits[20]) {
    u64 i = 20;
    do {
        digits[--i] = '0' + n % 10;
        n /= 10;
    } while (n);
    return (text){digits + i, 20 - i};
}

static void put_number(out *o, u64 n) {
    u8 digits[20];
    put(o, number_text(n, digits));
}

/* The inside of a JSON string. Bytes from 128 on are UTF-8 and stay. */
static void put_escaped(out *o, text t) {
    for (u64 i = 0; i < t.n; i++) {
        u8 c = t.at[i];
        if (c == '"' || c == '\\') {
            put_byte(o, '\\');
            put_byte(o, c);
        } else if (c == '\n') {
            say(o, "\\n");
        } else if (c < 32 || c == 127) {
            say(o, "\\u00");
            put_byte(o, "0123456789abcdef"[c >> 4]);
            put_byte(o, "0123456789abcdef"[c & 15]);
        } else {
            put_byte(o, c);
        }
    }
}

static void put_string(out *o, text t) {
    put_byte(o, '"');
    put_escaped(o, t);
    put_byte(o, '"');
}

/* --- Reading JSON --------------------------------------------------------
 * check_* go over a whole document once and refuse whatever is not JSON.
 * After that, member and element find values in the text itself. */

typedef struct {
    const u8 *at, *end;
    const char *error;
} reader;

#define MAX_DEPTH 64 /* keeps the recursion within the stack */

static int fail(reader *r, const char *why) {
    if (!r->error) r->error = why;
    return 0;
}

static void skip_space(reader *r) {
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static int take(reader *r, u8 c) {
    if (r->at < r->end && *r->at == c) {
        r->at++;
        return 1;
    }
    return 0;
}

/* Four hexadecimal digits, or -1. */
static int hex4(const u8 *at, const u8 *end) {
    int value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        u8 c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The length of the UTF-8 character at `at`, or 0 if it is none. Overlong
 * forms, surrogates and numbers above 10FFFF are none. */
static u64 utf8_length(const u8 *at, const u8 *end) {
    u8 c = *at;
    u64 n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (!n || (u64)(end - at) < n) return 0;
    for (u64 i = 1; i < n; i++)
        if ((at[i] & 0xC0) != 0x80) return 0;
    if ((c == 0xE0 && at[1] < 0xA0) || (c == 0xED && at[1] > 0x9F) ||
        (c == 0xF0 && at[1] < 0x90) || (c == 0xF4 && at[1] > 0x8F))
        return 0;
    return n;
}

static int check_string(reader *r) {
    if (!take(r, '"')) return fail(r, "a string is missing");
    while (r->at < r->end) {
        u8 c = *r->at;
        if (c == '"') {
            r->at++;
            return 1;
        }
        if (c < 32) return fail(r, "control character in a string");
        if (c != '\\') {
            u64 n = utf8_length(r->at, r->end);
            if (!n) return fail(r, "a string is not UTF-8");
            r->at += n;
            continue;
        }
        if (r->end - r->at < 2) break;
        r->at++;
        switch (*r->at++) {
        case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
            break;
        case 'u': {
            int high = hex4(r->at, r->end);
            if (high < 0) return fail(r, "bad \\u in a string");
            r->at += 4;
            if (high >= 0xDC00 && high < 0xE000) return fail(r, "half a \\u pair");
            if (high >= 0xD800 && high < 0xDC00) {
                int low = -1;
                if (r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u')
                    low = hex4(r->at + 2, r->end);
                if (low < 0xDC00 || low >= 0xE000) return fail(r, "half a \\u pair");
                r->at += 6;
            }
            break;
        }
        default:
            return fail(r, "unknown escape in a string");
        }
    }
    return fail(r, "a string does not end");
}

static int check_digits(reader *r) {
    const u8 *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return r->at > from ? 1 : fail(r, "bad number");
}

static int check_number(reader *r) {
    take(r, '-');
    if (!take(r, '0') && !check_digits(r)) return 0;
    if (take(r, '.') && !check_digits(r)) return 0;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+')) take(r, '-');
        return check_digits(r);
    }
    return 1;
}

static int check_word(reader *r, const char *word) {
    for (; *word; word++)
        if (!take(r, *word)) return fail(r, "unknown word");
    return 1;
}

static int check_value(reader *r, int depth) {
    if (depth > MAX_DEPTH) return fail(r, "nested too deeply");
    skip_space(r);
    if (r->at >= r->end) return fail(r, "a value is missing");
    u8 c = *r->at;
    if (c == '"') return check_string(r);
    if (c == '-' || (c >= '0' && c <= '9')) return check_number(r);
    if (c == 't') return check_word(r, "true");
    if (c == 'f') return check_word(r, "false");
    if (c == 'n') return check_word(r, "null");
    if (c != '{' && c != '[') return fail(r, "a value is missing");
    u8 close = c == '{' ? '}' : ']';
    r->at++;
    skip_space(r);
    if (take(r, close)) return 1;
    for (;;) {
        if (c == '{') {
            skip_space(r);
            if (!check_string(r)) return 0;
            skip_space(r);
            if (!take(r, ':')) return fail(r, "a colon is missing");
        }
        if (!check_value(r, depth + 1)) return 0;
        skip_space(r);
        if (take(r, close)) return 1;
        if (!take(r, ',')) return fail(r, "a comma is missing");
    }
}

/* Null when the document is right, else what is wrong with it. */
static const char *check_document(text t) {
    reader r = {t.at, t.at + t.n, 0};
    if (!check_value(&r, 0)) return r.error;
    skip_space(&r);
    return r.at < r.end ? "something follows the value" : 0;
}

/* One UTF-8 character. */
static u8 *put_character(u8 *to, u32 c) {
    if (c < 0x80) {
        *to++ = c;
    } else if (c < 0x800) {
        *to++ = 0xC0 | c >> 6;
        *to++ = 0x80 | (c & 63);
    } else if (c < 0x10000) {
        *to++ = 0xE0 | c >> 12;
        *to++ = 0x80 | (c >> 6 & 63);
        *to++ = 0x80 | (c & 63);
    } else {
        *to++ = 0xF0 | c >> 18;
        *to++ = 0x80 | (c >> 12 & 63);
        *to++ = 0x80 | (c >> 6 & 63);
        *to++ = 0x80 | (c & 63);
    }
    return to;
}

/* What a checked string means, in scratch memory; 0 if there is none. The
 * result is never longer than the text with its escapes. */
static int decode(text quoted, text *result) {
    u8 *to = scratch_new(quoted.n);
    if (!to) return 0;
    const u8 *at = quoted.at + 1, *end = quoted.at + quoted.n - 1;
    result->at = to;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        u8 c = at[1];
        at += 2;
        if (c == 'u') {
            u32 value = hex4(at, end);
            at += 4;
            if (value >= 0xD800 && value < 0xDC00) {
                value = 0x10000 + ((value - 0xD800) << 10) + (hex4(at + 2, end) - 0xDC00);
                at += 6;
            }
            to = put_character(to, value);
        } else {
            *to++ = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r'
                  : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
        }
    }
    result->n = to - result->at;
    return 1;
}

/* The next value of a checked document, as text. */
static text next_value(reader *r) {
    skip_space(r);
    const u8 *from = r->at;
    check_value(r, 0);
    return (text){from, r->at - from};
}

static int is_kind(text value, u8 first) { return value.n && *value.at == first; }

/* Whether a checked string means this text. */
static int means(text quoted, const char *wanted) {
    text inside = {quoted.at + 1, quoted.n - 2};
    for (u64 i = 0; i < inside.n; i++)
        if (inside.at[i] == '\\') return decode(quoted, &inside) && is(inside, wanted);
    return is(inside, wanted);
}

/* The member of an object with this key; the first if there are several. A
 * result without a length means there is none. */
static text member(text object, const char *key) {
    text none = {0, 0};
    if (!is_kind(object, '{')) return none;
    reader r = {object.at + 1, object.at + object.n, 0};
    skip_space(&r);
    if (take(&r, '}')) return none;
    for (;;) {
        text name = next_value(&r);
        skip_space(&r);
        take(&r, ':');
        text value = next_value(&r);
        if (means(name, key)) return value;
        skip_space(&r);
        if (!take(&r, ',')) return none;
    }
}

/* Starts a walk through an array; next_element gives 0 at its end. */
static reader elements(text array) {
    reader r = {array.at, array.at + array.n, 0};
    take(&r, '[');
    skip_space(&r);
    take(&r, ']');
    return r;
}

static int next_element(reader *r, text *element) {
    if (r->at >= r->end) return 0;
    *element = next_value(r);
    skip_space(r);
    if (!take(r, ',')) r->at = r->end;
    return 1;
}

/* --- The ledger --------------------------------------------------------- */

/* The largest total. The host's numbers are signed, and no balance can be
 * larger than the total, so no sum of two can wrap round. */
#define MOST 0x7FFFFFFFFFFFFFFFUL

/* Accounts are never taken away: a pointer to one stays good. */
typedef struct account {
    struct account *same_slot; /* the next with the same place in the table */
    struct account *next;      /* the next in order of arrival */
    u64 balance, hash;
    text name;
} account;

static account **slots;
static u64 slot_count, account_count; /* slot_count is a power of two */
static u64 holders;                   /* accounts that hold something */
static account *first_account, *last_account;
static u64 minted;

static u64 hash_of(text name) {
    u64 h = 0xCBF29CE484222325UL; /* FNV-1a */
    for (u64 i = 0; i < name.n; i++) h = (h ^ name.at[i]) * 0x100000001B3UL;
    return h;
}

static account *find_account(text name) {
    if (!slot_count) return 0;
    u64 h = hash_of(name);
    account *a = slots[h & (slot_count - 1)];
    while (a && !(a->hash == h && same(a->name, name))) a = a->same_slot;
    return a;
}

/* Twice as many slots, once there is an account for each. */
static int more_slots(void) {
    u64 count = slot_count ? slot_count * 2 : 64;
    account **bigger = malloc(count * sizeof(account *));
    if (!bigger) return 0;
    for (u64 i = 0; i < count; i++) bigger[i] = 0;
    for (account *a = first_account; a; a = a->next) {
        account **slot = &bigger[a->hash & (count - 1)];
        a->same_slot = *slot;
        *slot = a;
    }
    free(slots);
    slots = bigger;
    slot_count = count;
    return 1;
}

/* The account of that name; a new one holds nothing. 0: no memory. */
static account *open_account(text name) {
    account *a = find_account(name);
    if (a) return a;
    if (account_count >= slot_count && !more_slots()) return 0;
    a = malloc(sizeof(account) + name.n);
    if (!a) return 0;
    u8 *kept = (u8 *)(a + 1);
    copy(kept, name.at, name.n);
    a->name = (text){kept, name.n};
    a->hash = hash_of(name);
    a->balance = 0;
    a->next = 0;
    account **slot = &slots[a->hash & (slot_count - 1)];
    a->same_slot = *slot;
    *slot = a;
    if (last_account)
        last_account->next = a;
    else
        first_account = a;
    last_account = a;
    account_count++;
    return a;
}

/* A whole number from 1 to MOST without sign, spaces or leading zeros. */
static int read_quantity(text t, u64 *quantity) {
    u64 n = 0;
    if (!t.n || t.n > 19 || t.at[0] == '0') return 0;
    for (u64 i = 0; i < t.n; i++) {
        if (t.at[i] < '0' || t.at[i] > '9') return 0;
        n = n * 10 + (t.at[i] - '0'); /* 19 digits fit in 64 bits */
    }
    *quantity = n;
    return n <= MOST;
}

/* --- Messages ----------------------------------------------------------- */

typedef struct {
    text tags;  /* of the message, as JSON */
    text from, id, action;
    text owner; /* of the process */
    text name;  /* of the process */
    const char *error; /* why the message is refused */
    int malformed;     /* it is no proper message at all */
    out answer;
} request;

static int refuse(request *q, const char *why) {
    if (!q->error) q->error = why;
    return 0;
}

static const char NO_MEMORY[] = "out of memory";

/* A member that must be a string if it is there; empty if it is not. */
static int string_member(request *q, text object, const char *key, text *result) {
    text value = member(object, key);
    *result = (text){(const u8 *)"", 0};
    if (!value.n || is_kind(value, 'n')) return 1;
    if (!is_kind(value, '"')) {
        q->malformed = 1;
        return refuse(q, "malformed message: a string is expected");
    }
    return decode(value, result) ? 1 : refuse(q, NO_MEMORY);
}

/* The first tag of that name: 1 if there is one. A tag whose value is no
 * string counts as empty, and is refused where a value is needed. */
static int find_tag(request *q, text tags, const char *wanted, text *result) {
    *result = (text){(const u8 *)"", 0};
    if (!is_kind(tags, '[')) return 0;
    reader r = elements(tags);
    text tag;
    while (next_element(&r, &tag)) {
        text name = member(tag, "name");
        if (!is_kind(name, '"') || !means(name, wanted)) continue;
        text value = member(tag, "value");
        if (is_kind(value, '"') && !decode(value, result)) return refuse(q, NO_MEMORY);
        return 1;
    }
    return 0;
}

/* The NUL-terminated text at an address the host gave. An address outside
 * the memory, or no NUL before its end, is refused. */
static int host_text(request *q, u64 address, text *result) {
    u64 limit = memory_bytes();
    if (!address || address >= limit) {
        q->malformed = 1;
        return refuse(q, "the address is outside the memory");
    }
    const u8 *at = (const u8 *)address;
    u64 n = 0;
    while (n < limit - address && at[n]) n++;
    if (n == limit - address) {
        q->malformed = 1;
        return refuse(q, "the text does not end");
    }
    /* A copy, so that nothing can change the text once it has been checked,
     * not even when the host has freed it already. */
    u8 *kept = scratch_new(n + 1);
    if (!kept) return refuse(q, NO_MEMORY);
    copy(kept, at, n);
    *result = (text){kept, n};
    return 1;
}

static int read_json(request *q, u64 address, text *result) {
    if (!host_text(q, address, result)) return 0;
    const char *wrong = check_document(*result);
    reader r = {result->at, result->at + result->n, 0};
    skip_space(&r);
    if (!wrong && *r.at != '{') wrong = "an object is expected";
    if (!wrong) {
        *result = next_value(&r);
        return 1;
    }
    q->malformed = 1;
    out why = {0};
    say(&why, "malformed JSON: ");
    say(&why, wrong);
    put_byte(&why, 0);
    u8 *kept = why.failed ? 0 : scratch_new(why.n);
    if (kept) copy(kept, why.at, why.n);
    free(why.at);
    return refuse(q, kept ? (const char *)kept : "malformed JSON");
}

static int read_request(request *q, u64 message_at, u64 environment_at) {
    text message, environment;
    if (!read_json(q, message_at, &message)) return 0;
    if (!read_json(q, environment_at, &environment)) return 0;
    text process = member(environment, "Process");
    q->tags = member(message, "Tags");
    if (!is_kind(q->tags, '[')) {
        q->malformed = 1;
        return refuse(q, "malformed message: Tags must be a list");
    }
    if (!string_member(q, message, "From", &q->from) ||
        !string_member(q, message, "Id", &q->id) ||
        !string_member(q, process, "Owner", &q->owner))
        return 0;
    find_tag(q, member(process, "Tags"), "Name", &q->name);
    find_tag(q, q->tags, "Action", &q->action);
    return !q->error;
}

/* --- Answers ------------------------------------------------------------ */

static void put_tag(out *o, const char *name, text value) {
    if (o->n && o->at[o->n - 1] == '}') put_byte(o, ',');
    say(o, "{\"name\":");
    put_string(o, c_text(name));
    say(o, ",\"value\":");
    put_string(o, value);
    put_byte(o, '}');
}

static void put_number_tag(out *o, const char *name, u64 n) {
    u8 digits[20];
    put_tag(o, name, number_text(n, digits));
}

/* An answer with one message: start_answer, tags, end_answer. */
static void start_answer(out *o, text data, text target) {
    say(o, "{\"ok\":true,\"response\":{\"Output\":{\"data\":");
    put_string(o, data);
    say(o, "},\"Messages\":[{\"Target\":");
    put_string(o, target);
    say(o, ",\"Tags\":[");
}

static void end_answer(out *o, text data) {
    say(o, "],\"Data\":");
    put_string(o, data);
    say(o, "}],\"Spawns\":[],\"Assignments\":[]}}");
}

static int info(request *q) {
    out data = {0};
    say(&data, "{\"Name\":");
    put_string(&data, q->name);
    say(&data, ",\"Owner\":");
    put_string(&data, q->owner);
    say(&data, ",\"Minted\":\"");
    put_number(&data, minted);
    say(&data, "\",\"Accounts\":\"");
    put_number(&data, holders);
    say(&data, "\"}");
    text t = {data.at, data.n};
    start_answer(&q->answer, t, q->from);
    put_tag(&q->answer, "Action", c_text("Info-Notice"));
    put_tag(&q->answer, "Name", q->name);
    put_tag(&q->answer, "Owner", q->owner);
    put_number_tag(&q->answer, "Minted", minted);
    put_number_tag(&q->answer, "Accounts", holders);
    end_answer(&q->answer, t);
    free(data.at);
    return data.failed ? refuse(q, NO_MEMORY) : 1;
}

static int balance(request *q) {
    text name;
    if (!find_tag(q, q->tags, "Account", &name) &&
        !find_tag(q, q->tags, "Recipient", &name) &&
        !find_tag(q, q->tags, "Target", &name))
        name = q->from;
    if (q->error) return 0;
    account *a = find_account(name);
    u8 digits[20];
    text t = number_text(a ? a->balance : 0, digits);
    start_answer(&q->answer, t, q->from);
    put_tag(&q->answer, "Action", c_text("Balance-Notice"));
    put_tag(&q->answer, "Account", name);
    put_tag(&q->answer, "Balance", t);
    end_answer(&q->answer, t);
    return 1;
}

static int balances(request *q) {
    out data = {0};
    put_byte(&data, '{');
    for (account *a = first_account; a; a = a->next) {
        if (!a->balance) continue;
        if (data.n > 1) put_byte(&data, ',');
        put_string(&data, a->name);
        say(&data, ":\"");
        put_number(&data, a->balance);
        put_byte(&data, '"');
    }
    put_byte(&data, '}');
    text t = {data.at, data.n};
    start_answer(&q->answer, t, q->from);
    put_tag(&q->answer, "Action", c_text("Balances-Notice"));
    end_answer(&q->answer, t);
    free(data.at);
    return data.failed ? refuse(q, NO_MEMORY) : 1;
}

/* Mint and Transfer. Everything that can be refused or can run out of memory
 * comes before the audit, and nothing that changes a balance does. */
static int move(request *q, int mint) {
    text to_name, quantity_text;
    u64 quantity;
    int has_recipient = find_tag(q, q->tags, "Recipient", &to_name);
    find_tag(q, q->tags, "Quantity", &quantity_text);
    if (q->error) return 0;
    if (mint && !has_recipient) to_name = q->from;
    if (mint && !same(q->from, q->owner)) return refuse(q, "only the owner may mint");
    if (!to_name.n) return refuse(q, "no recipient");
    if (!read_quantity(quantity_text, &quantity)) return refuse(q, "invalid quantity");
    account *from = 0;
    if (mint) {
        if (quantity > MOST - minted) return refuse(q, "the total would be too large");
    } else {
        if (same(q->from, to_name)) return refuse(q, "a transfer to oneself");
        from = find_account(q->from);
        if (!from || from->balance < quantity) return refuse(q, "insufficient balance");
    }

    out line = {0};
    say(&line, mint ? "{\"Action\":\"Mint\",\"From\":" : "{\"Action\":\"Transfer\",\"From\":");
    put_string(&line, q->from);
    say(&line, ",\"Recipient\":");
    put_string(&line, to_name);
    say(&line, ",\"Quantity\":\"");
    put_number(&line, quantity);
    say(&line, "\",\"Id\":");
    put_string(&line, q->id);
    put_byte(&line, '}');
    /* Scratch memory, because the audit may trap and not come back. */
    u8 *kept = line.failed ? 0 : scratch_new(line.n);
    u64 length = line.n;
    if (kept) copy(kept, line.at, length);
    free(line.at);

    /* The answer has each name three times at most, escaped once (six bytes
     * for one at most). */
    reserve(&q->answer, 18 * (q->from.n + to_name.n) + 2048);
    account *to = kept && !q->answer.failed ? open_account(to_name) : 0;
    if (!to) return refuse(q, NO_MEMORY);
    free(last_answer);
    last_answer = q->answer.at;

    i64 number = audit(kept, length, quantity);
    if (number < 0) return refuse(q, "the journal refused the entry");

    if (mint)
        minted += quantity;
    else if (!(from->balance -= quantity))
        holders--;
    if (!to->balance) holders++;
    to->balance += quantity;

    u8 data_room[128];
    out data = {data_room, 0, sizeof data_room, 0}; /* what is put in fits */
    say(&data, mint ? "Minted " : "Transferred ");
    put_number(&data, quantity);
    say(&data, ", journal ");
    put_number(&data, number);
    text said = {data.at, data.n};
    out *o = &q->answer;
    start_answer(o, said, to_name);
    put_tag(o, "Action", c_text("Credit-Notice"));
    put_number_tag(o, "Quantity", quantity);
    put_tag(o, "Sender", q->from);
    put_number_tag(o, "Journal", number);
    say(o, "],\"Data\":\"You received ");
    put_number(o, quantity);
    say(o, " from ");
    put_escaped(o, q->from);
    say(o, "\"}],\"Spawns\":[],\"Assignments\":[]}}");
    return 1;
}

static int act(request *q) {
    if (!q->from.n) return refuse(q, "the message has no sender");
    if (!q->action.n) return refuse(q, "the message has no action");
    if (is(q->action, "Info")) return info(q);
    if (is(q->action, "Balance")) return balance(q);
    if (is(q->action, "Balances")) return balances(q);
    if (is(q->action, "Mint")) return move(q, 1);
    if (is(q->action, "Transfer")) return move(q, 0);
    return refuse(q, "unknown action");
}

/* The answer when there is no memory for one. */
static const char no_answer[] =
    "{\"ok\":false,\"error\":\"out of memory\",\"response\":{\"Output\":{\"data\":\"\"},"
    "\"Messages\":[],\"Spawns\":[],\"Assignments\":[],\"Error\":\"out of memory\"}}";

static const u8 *answer(u64 message, u64 environment) {
    request q = {0};
    scratch_clear();
    int done = read_request(&q, message, environment) && act(&q);
    if (done && q.answer.failed) done = refuse(&q, NO_MEMORY);
    if (!done) {
        text why = c_text(q.error);
        free(q.answer.at);
        q.answer = (out){0};
        if (q.malformed) {
            say(&q.answer, "{\"ok\":false,\"error\":");
            put_string(&q.answer, why);
            put_byte(&q.answer, ',');
        } else {
            say(&q.answer, "{\"ok\":true,");
        }
        say(&q.answer, "\"response\":{\"Output\":{\"data\":\"\"},\"Messages\":[],"
                         "\"Spawns\":[],\"Assignments\":[],\"Error\":");
        put_string(&q.answer, why);
        say(&q.answer, "}}");
    }
    scratch_clear();
    put_byte(&q.answer, 0);
    if (q.answer.failed) {
        free(q.answer.at);
        return (const u8 *)no_answer;
    }
    /* Not earlier: the host may send the last answer on as a message. */
    if (last_answer != q.answer.at) free(last_answer);
    last_answer = q.answer.at;
    return q.answer.at;
}

/* The answer is good until the next call; the host may free it or leave it.
 *
 * A call that traps does not give its part of the stack back. So each call
 * starts where the first one did. */
EXPORT(handle) const u8 *handle(u64 message, u64 environment) {
    static u64 stack_top;
    u64 top;
    __asm__ volatile(".globaltype __stack_pointer, i64\n"
                     "global.get __stack_pointer\n"
                     "local.set %0" : "=r"(top));
    if (!stack_top) stack_top = top;
    __asm__ volatile("local.get %0\n"
                     "global.set __stack_pointer" : : "r"(stack_top) : "memory");
    return answer(message, environment);
}
