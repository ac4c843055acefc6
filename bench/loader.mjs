// The reference of the lines about AO's images in `make bench`: ao-loader on Node, driven line by line.
//
//   node --experimental-wasm-memory64 loader.mjs PACKAGE FORMAT IMAGE [fresh]
//
// A line "CODE<tab>TURNS" asks for so many evals, one after the other, each with the memory that the one before has
// left, as a compute unit does it. With `fresh' each is the first message of an instance of its own, whose start is not timed. Its answer is "NANOSECONDS<tab>OUTPUT": of one of them, with a decimal point, and
// the output of the last one.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { aoLoader } from '../parity/patched.mjs';

const [packageDir, format, image, mode] = process.argv.slice(2);
// For some formats ao-loader puts another clock in its place.
const now = process.hrtime.bigint;
const say = console.log.bind(console);
console.log = console.warn = console.error = () => {};
globalThis.parityNow = 1_700_000_000_000;

// The messages of the other lines about AOS.
const read = (name) => JSON.parse(readFileSync(new URL(`aos/${name}.json`, import.meta.url)));
const [environment, example] = [read('environment'), read('one_and_one')];
const evaluation = (code) => ({ ...example, Data: code });

const load = aoLoader(packageDir);
const start = () => load(readFileSync(image), {
  format, inputEncoding: 'JSON-1', outputEncoding: 'JSON-1', memoryLimit: '17179869184', computeLimit: '9000000000000',
  extensions: [],
});
let handle = await start();
// Makes the owner known, whose evals are obeyed.
let memory = mode === 'fresh' ? null : (await handle(null, read('process'), environment)).Memory;

for await (const line of createInterface({ input: process.stdin })) {
  const [code, turns] = line.split('\t');
  const message = evaluation(code);
  let output;
  let total = 0n;
  for (let turn = 0; turn < Number(turns); turn += 1) {
    if (mode === 'fresh') handle = await start();
    const begin = now();
    const result = await handle(memory, message, environment);
    total += now() - begin;
    memory = mode === 'fresh' ? null : result.Memory;
    output = result.Output;
  }
  const nanoseconds = Number(total) / Number(turns);
  say(`${nanoseconds.toFixed(1)}\t${JSON.stringify(output?.data?.output ?? output?.data)}`);
}
process.exit(0);
