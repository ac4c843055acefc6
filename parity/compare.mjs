// Compares what loader.mjs and parity.erl have written about one image, and tells what differs.
//
//   node compare.mjs IMAGE LOADER-RESULTS ENGINE-RESULTS
//
// What differs for a reason is in explained.txt; whatever else differs makes the exit status 1.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

const [image, loaderFile, engineFile] = process.argv.slice(2);
const fields = ['Output', 'Messages', 'Spawns', 'Assignments', 'Error', 'thrown', 'crashed'];
const lines = (file) => readFileSync(file, 'utf8').split('\n').filter((line) => line !== '');

const theirs = lines(loaderFile).map((line) => JSON.parse(line));
const ours = lines(engineFile).map(engineResult);
const explanations = lines(new URL('explained.txt', import.meta.url)).filter((line) => !line.startsWith('#'))
  .map((line) => {
    const [, pattern, reason] = /^(\S.*?)\s{2,}(.*)$/.exec(line);
    return { pattern: new RegExp(`^(?:${pattern})$`), reason, count: 0 };
  });

let equal = 0;
let text = 0;
const explained = [];
const unexplained = [];
if (theirs.length !== ours.length) {
  unexplained.push(`  ao-loader has answered ${theirs.length} messages, hb_wasm64 ${ours.length}`);
}
for (const [i, their] of theirs.entries()) {
  const our = ours[i];
  if (!our) break;
  const differing = fields.filter((field) => !same(field, their[field], our[field]));
  if (differing.length === 0) {
    equal += 1;
    // The same keys in the same order too: Lua has walked its tables in the same order.
    if (fields.every((field) => field === 'crashed' || JSON.stringify(their[field]) === JSON.stringify(our[field]))) text += 1;
    continue;
  }
  const values = differing.map((field) =>
    `      ${field}\n        ao-loader  ${shown(their[field], our[field])}\n        hb_wasm64  ${shown(our[field], their[field])}`);
  const place = `${image}: ${their.title}`;
  const explanation = explanations.find(({ pattern }) => pattern.test(place));
  if (explanation) {
    explanation.count += 1;
    explained.push(`    ${their.n}. ${their.title}: ${explanation.reason}`);
  } else {
    unexplained.push(`    ${their.n}. ${their.title}\n${values.join('\n')}`);
  }
}

const seconds = (results) => `${(results.reduce((sum, { ms }) => sum + ms, 0) / 1000).toFixed(1)} s`;
console.log(
  `${image}: ${theirs.length} messages, ${equal} equal (${text} to the last byte), ` +
  `${explained.length + unexplained.length} different, ${unexplained.length} of them unexplained; ` +
  `ao-loader ${seconds(theirs)}, hb_wasm64 ${seconds(ours)}`,
);
if (explained.length > 0) console.log(`  explained:\n${explained.join('\n')}`);
if (unexplained.length > 0) console.log(`  unexplained:\n${unexplained.join('\n')}`);
process.exit(unexplained.length > 0 ? 1 : 0);

// A line of the engine's results as ao-loader would have put it.
function engineResult(line) {
  const [n, ms, kind, ...rest] = line.split('\t');
  const told = rest.join('\t');
  const result = { n: Number(n), ms: Number(ms) };
  if (kind !== 'answer') {
    return { ...result, crashed: kind === 'exit' ? { kind, status: Number(told) } : { kind, text: told } };
  }
  let answer;
  try {
    answer = JSON.parse(told);
  } catch {
    return { ...result, crashed: { kind: 'answer', text: told } };
  }
  const { ok, response } = answer;
  if (!ok) return { ...result, thrown: response ?? null };
  const { Output, Messages, Spawns, Assignments, Error } = response;
  return { ...result, Output, Messages, Spawns, Assignments, Error };
}

// Calls that end without an answer do so in the same way, in each one's own words.
function same(field, their, our) {
  if (field !== 'crashed' || !their || !our) return isDeepStrictEqual(their, our);
  return their.kind === our.kind && their.status === our.status;
}

// A value from a little before where it differs from the other.
function shown(value, other) {
  const [a, b] = [value, other].map((v) => JSON.stringify(v) ?? 'nothing');
  if (a.length <= 300) return a;
  let at = 0;
  while (a[at] === b[at] && at < a.length) at += 1;
  const from = Math.max(0, at - 80);
  return `${from > 0 ? '…' : ''}${a.slice(from, from + 300)}${from + 300 < a.length ? '…' : ''}`;
}
