// For an image that evaluates nothing: it answers "ping" with "pong", counts its messages, and repeats what came in. So the
// messages are all kinds of JSON.
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const characters = (from, to) => String.fromCodePoint(...range(from, to));
const nested = (depth) => (depth === 0 ? 'bottom' : [nested(depth - 1)]);
const nestedObject = (depth) => (depth === 0 ? { bottom: true } : { down: nestedObject(depth - 1) });

// Of each only the data differ; they are a string unless the options give others.
const text = (title, data) => [title, { From: 'friend' }, data];
const value = (title, data) => [title, { From: 'friend', Data: data }, ''];
const field = (title, fields) => [title, { From: 'friend', ...fields }, 'data'];

export default [
  text('ping', 'ping'),
  text('ping once more', 'ping'),
  text('something else', 'pong'),
  text('nothing', ''),
  text('ping with a space', 'ping '),
  text('ping in upper case', 'PING'),
  value('no data', null),
  text('after no data', 'ping'),
  value('true', true),
  value('false', false),
  value('an array', [1, 2, 3]),
  value('an empty array', []),
  value('an object', { a: 1 }),
  value('an empty object', {}),
  text('after what is no text', 'ping'),
  // Integers and floats, as Lua writes them again.
  ...[
    0, 1, -1, 42, 255, 65536, 2147483647, 2147483648, -2147483648, 4294967296, 9007199254740991, 9007199254740993,
    -9007199254740993, 9223372036854775807, 1e18, 1e19, 1e20, 1e21, 1e100, 1.7976931348623157e308, 5e-324,
    2.2250738585072014e-308, 0.1, 0.2, 0.3, 1 / 3, 2 / 3, 1.5, -1.5, 1e-5, 1e-6, 1e-7, 123456789.123, 3.14159265358979,
    100000, 1000000, 1e14, 1e15, 1e16, 123456789012345, 1234567890123456, 0.1 + 0.2, 4.35, 1e-300, 6.02214076e23,
  ].map((number) => value(`the number ${number}`, number)),
  value('minus zero', -0),
  ...[-1e-7, -0.1, -1e21, -9223372036854775807, 12345678901234567890, 0.5, 0.25, 0.125, 1e22, 1e23].map((number) =>
    value(`the number ${number}`, number)),
  // Characters, a row of the code table at a time.
  ...range(0, 7).map((row) => text(`characters from ${row * 16}`, characters(row * 16, row * 16 + 15))),
  ...range(8, 15).map((row) => text(`characters of two bytes from ${row * 16}`, characters(row * 16, row * 16 + 15))),
  ...[0x100, 0x370, 0x400, 0x590, 0x600, 0x7f0].map((first) =>
    text(`characters of two bytes from 0x${first.toString(16)}`, characters(first, first + 15))),
  ...[0x800, 0x900, 0xe00, 0x2000, 0x2020, 0x20a0, 0x3040, 0x4e00, 0xac00, 0xe000, 0xfb00, 0xfff0].map((first) =>
    text(`characters of three bytes from 0x${first.toString(16)}`, characters(first, first + 15))),
  ...[0x10000, 0x1d11e, 0x1f300, 0x1f600, 0x20000, 0xe0100, 0x10fff0].map((first) =>
    text(`characters of four bytes from 0x${first.toString(16)}`, characters(first, first + 15))),
  ...range(0, 31).map((code) => text(`the control character ${code}`, `a${String.fromCharCode(code)}b`)),
  text('a quote', 'say "hello"'),
  text('a backslash', 'C:\\path\\n'),
  text('a slash', 'a/b'),
  text('an escape that is none', '\\u0041 \\x'),
  text('half a surrogate pair, the first', 'a\ud800b'),
  text('half a surrogate pair, the second', 'a\udc00b'),
  text('a surrogate pair the wrong way round', '\udc00\ud800'),
  text('a line separator', 'a\u2028b\u2029c'),
  text('JSON within JSON', JSON.stringify({ a: [1, 'two', null] })),
  text('JSON within JSON within JSON', JSON.stringify(JSON.stringify({ a: '"' }))),
  text('percent signs, as for a format', '%d %s %% %n'),
  text('a pattern', '(%w+)%1'),
  // Texts of many lengths, at the edges of what buffers hold.
  ...[1, 2, 3, 15, 16, 17, 31, 39, 40, 41, 63, 64, 65, 127, 128, 255, 256, 1023, 1024, 1025, 4095, 4096, 8191, 8192, 65535,
    65536, 100000, 1000000].map((length) => text(`a text of ${length}`, 'x'.repeat(length))),
  text('a text of 100,000 quotes', '"'.repeat(100_000)),
  text('a text of 30,000 emoji', '😀'.repeat(30_000)),
  // Other fields.
  field('from nobody', { From: null }),
  field('from a number', { From: 42, Owner: 'friend' }),
  field('from an object', { From: { a: 1 }, Owner: 'friend' }),
  field('from a name in Unicode', { From: 'Жизнь 世界 😀', Owner: 'friend' }),
  field('no tags', { Tags: null }),
  field('many tags', { Tags: Object.fromEntries(range(1, 200).map((i) => [`Tag-${i}`, `value ${i}`])) }),
  field('tags in Unicode', { Tags: { Größe: 'groß', 日本: '語' } }),
  field('a thousand fields', Object.fromEntries(range(1, 1000).map((i) => [`Field-${i}`, i]))),
  field('an array of 10,000', { Extra: range(1, 10_000) }),
  field('arrays 50 deep', { Extra: nested(50) }),
  field('arrays 150 deep', { Extra: nested(150) }),
  field('arrays 1,000 deep', { Extra: nested(1000) }),
  field('objects 50 deep', { Extra: nestedObject(50) }),
  field('objects 1,000 deep', { Extra: nestedObject(1000) }),
  field('a name that is empty', { '': 'empty' }),
  field('names that are numbers', { 1: 'one', 2: 'two' }),
  field('nulls', { Extra: [null, null, { a: null }] }),
  field('a time long past', { Timestamp: 1 }),
  field('a time far ahead', { Timestamp: 4_102_444_800_000 }),
  field('a time that is a text', { Timestamp: '1717171717171' }),
  text('the end', 'ping'),
];
