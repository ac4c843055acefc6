// For an image that knows a few actions: it repeats what came in, counts, tells the date, and draws a number.
const action = (title, name, data = '') => [title, { From: 'friend', Tags: { Action: name } }, data];

export default [
  action('what came in', 'echo', 'Hello World'),
  action('nothing', 'echo'),
  action('all kinds of letters', 'echo', 'a\u00e4\u20ac\u{1f600}"\\\n'),
  ['numbers and lists', { From: 'friend', Tags: { Action: 'echo' }, Data: [1, 2.5, -1e300, [], {}, null, true] }, ''],
  ['a table of many keys', {
    From: 'friend', Tags: { Action: 'echo' },
    Data: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`key ${i * 7919 % 101}`, i])),
  }, ''],
  action('one more', 'inc'),
  action('and one more', 'inc'),
  action('the date', 'Date'),
  action('a number by chance', 'Random'),
  action('another', 'Random'),
  action('a program is run', 'Directory'),
  action('after that', 'inc'),
];
