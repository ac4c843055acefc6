/* Time, and the program's surroundings, by the imports that Emscripten's C
 * library has for them. There is one struct tm, which most exports read or
 * write; times are seconds since 1970.
 */
#include "emscripten.h"

typedef struct {
    int sec, min, hour, mday, mon, year, wday, yday, isdst;
    long gmtoff;
    const char *zone;
} calendar;

#ifdef __wasm64__
_Static_assert(sizeof(calendar) == 56, "the host knows this layout");
#else
_Static_assert(sizeof(calendar) == 44, "the host knows this layout");
#endif

double emscripten_date_now(void);
double emscripten_get_now(void);
double emscripten_get_now_res(void);
int _emscripten_get_now_is_monotonic(void);
void _gmtime_js(WIDE(time), calendar *tm);
void _localtime_js(WIDE(time), calendar *tm);
WIDE_RESULT _mktime_js(calendar *tm);
WIDE_RESULT _timegm_js(calendar *tm);
#ifdef OLD
void _tzset_js(long *timezone, int *daylight, char **names);
#else
void _tzset_js(long *timezone, int *daylight, char *standard, char *summer);
#endif
char *strptime(const char *text, const char *format, calendar *tm);
char *strptime_l(const char *text, const char *format, calendar *tm, void *locale);
int getentropy(void *to, size bytes);
size strftime(char *to, size room, const char *format, const calendar *tm);
size strftime_l(char *to, size room, const char *format, const calendar *tm, void *locale);
int _emscripten_system(const char *command);

WASI(clock_time_get) int clock_time_get(int clock, WIDE(precision), u64 *time);
WASI(clock_res_get) int clock_res_get(int clock, u64 *resolution);
WASI(environ_sizes_get) int environ_sizes_get(size *count, size *bytes);
WASI(random_get) int random_get(void *to, size bytes);
WASI(environ_get) int environ_get(char **entries, char *text);

/* --- Now --------------------------------------------------------------------- */

EXPORT(date_now) double date_now(void) { return emscripten_date_now(); }
EXPORT(now) double now(void) { return emscripten_get_now(); }
EXPORT(now_resolution) double now_resolution(void) { return emscripten_get_now_res(); }
EXPORT(is_monotonic) int is_monotonic(void) { return _emscripten_get_now_is_monotonic(); }

/* Nanoseconds, or the negative number of an error. */
EXPORT(clock_time) i64 clock_time(int clock, i64 precision) {
    u64 time = 0;
    int error = clock_time_get(clock, PASS_WIDE(precision), &time);
    return error ? -error : (i64)time;
}
EXPORT(clock_resolution) i64 clock_resolution(int clock) {
    u64 resolution = 0;
    int error = clock_res_get(clock, &resolution);
    return error ? -error : (i64)resolution;
}

/* --- The calendar ------------------------------------------------------------- */

static calendar tm;

/* What the host does not write stays recognizable. */
static void spoil(void) { __builtin_memset(&tm, 0x55, sizeof tm); }

EXPORT(gmtime) void gmtime(i64 time) {
    spoil();
    _gmtime_js(PASS_WIDE(time), &tm);
}
EXPORT(localtime) void localtime(i64 time) {
    spoil();
    _localtime_js(PASS_WIDE(time), &tm);
}
EXPORT(mktime) i64 mktime(void) { return GET_WIDE(_mktime_js(&tm)); }
EXPORT(timegm) i64 timegm(void) { return GET_WIDE(_timegm_js(&tm)); }

EXPORT(set_tm) void set_tm(int sec, int min, int hour, int mday, int mon, int year, int wday, int yday, int isdst) {
    tm = (calendar){sec, min, hour, mday, mon, year, wday, yday, isdst, 0, "UTC"};
}
EXPORT(set_zone) void set_zone(i64 gmtoff, const char *zone) {
    tm.gmtoff = (long)gmtoff;
    tm.zone = zone;
}

EXPORT(tm_field) i64 tm_field(int which) {
    switch (which) {
    case 0: return tm.sec;
    case 1: return tm.min;
    case 2: return tm.hour;
    case 3: return tm.mday;
    case 4: return tm.mon;
    case 5: return tm.year;
    case 6: return tm.wday;
    case 7: return tm.yday;
    case 8: return tm.isdst;
    case 9: return tm.gmtoff;
    default: return -1;
    }
}

/* The length of the text at `to`, without its NUL. */
EXPORT(format) size format_tm(char *to, size room, const char *format) { return strftime(to, room, format, &tm); }
EXPORT(format_l) size format_tm_l(char *to, size room, const char *format) {
    return strftime_l(to, room, format, &tm, 0);
}

/* The address of what follows the text that was read, or 0. */
EXPORT(parse) const char *parse_tm(const char *text, const char *format) { return strptime(text, format, &tm); }
EXPORT(parse_l) const char *parse_tm_l(const char *text, const char *format) {
    return strptime_l(text, format, &tm, 0);
}

/* --- The time zone -------------------------------------------------------------- */

static long zone_offset;
static int zone_daylight;

#ifdef OLD
static char *zone_names[2];
EXPORT(tzset) void tzset(void) { _tzset_js(&zone_offset, &zone_daylight, zone_names); }
#else
#define ZONE_ROOM 17 /* Emscripten's TZNAME_MAX is 16 */
static char zone_standard[ZONE_ROOM], zone_summer[ZONE_ROOM];
static char *zone_names[2] = {zone_standard, zone_summer};
EXPORT(tzset) void tzset(void) { _tzset_js(&zone_offset, &zone_daylight, zone_standard, zone_summer); }
#endif
EXPORT(timezone) i64 timezone(void) { return zone_offset; }
EXPORT(daylight) int daylight(void) { return zone_daylight; }
EXPORT(zone_name) const char *zone_name(int summer) { return zone_names[!!summer]; }

/* As the C library's localtime: with the zone. */
EXPORT(local) void local(i64 time) {
    tzset();
    localtime(time);
    tm.zone = zone_names[0];
}

/* --- The environment ------------------------------------------------------------ */

static size variables, variables_bytes;

EXPORT(environ_sizes) int environ_sizes(void) { return -environ_sizes_get(&variables, &variables_bytes); }
EXPORT(environ_count) i64 environ_count(void) { return (i64)variables; }
EXPORT(environ_bytes) i64 environ_bytes(void) { return (i64)variables_bytes; }
/* The address of variable `index` as NAME=VALUE, or 0. The memory is not
 * given back. */
EXPORT(environ_entry) const char *environ_entry(int index) {
    if (environ_sizes() || index < 0 || (size)index >= variables) return 0;
    char **entries = malloc((variables + 1) * sizeof *entries), *text = malloc(variables_bytes);
    if (!entries || !text || environ_get(entries, text)) return 0;
    return entries[index];
}

/* --- Randomness ------------------------------------------------------------------- */

static int error;
EXPORT(__errno_location) int *errno_location(void) { return &error; }
EXPORT(errno) int get_errno(void) { return error; }
EXPORT(entropy) int entropy(void *to, size bytes) { return getentropy(to, bytes); }
EXPORT(random) int random(void *to, size bytes) { return -random_get(to, bytes); }

/* --- Other programs --------------------------------------------------------------- */

EXPORT(system) int system(const char *command) { return _emscripten_system(command); }
