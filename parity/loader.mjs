// Plays a sequence of messages to an image in ao-loader, as a compute unit does: each message gets the memory that the one
// before has left, and one that ends in an error leaves none.
//
//   node --experimental-wasm-memory64 loader.mjs PACKAGE FORMAT IMAGE SEQUENCE RESULTS
//
// PACKAGE is the directory of ao-loader, SEQUENCE what messages.mjs has written. RESULTS gets a line of JSON for each
// message: what ao-loader has made of the answer (`Output', `Messages', `Spawns', `Assignments', `Error'), or `thrown',
// which is what the image's `handle' reports as an error, or `crashed', which is how the call has ended without an answer.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { aoLoader } from './patched.mjs';
import { startTime } from './messages.mjs';

// Some formats put their own clock into its place.
const elapsed = performance.now.bind(performance);
const [packageDir, format, imageFile, sequenceFile, resultsFile] = process.argv.slice(2);
// Older images have the program's name and arguments in their memory.
process.argv = [process.argv[0], './this.program'];
const load = aoLoader(packageDir);
const image = readFileSync(imageFile);
const results = openSync(resultsFile, 'w');

// What the guest prints goes to console.log, which ao-loader takes away during a message but puts back only after one
// without an error.
console.log = console.warn = console.error = () => {};

// A fresh instance, in ao-loader's words a function that handles messages. The clock of the start is part of the state.
async function instance() {
  globalThis.parityNow = startTime;
  return load(image, {
    format, inputEncoding: 'JSON-1', outputEncoding: 'JSON-1', memoryLimit: '17179869184', computeLimit: '9000000000000',
    extensions: [], UNSAFE_MEMORY: true,
  });
}

// A promise that nobody waits for may fail instead of the call, which then never ends.
let fail = () => {};
process.on('unhandledRejection', (error) => fail(error));

let handle = await instance();
// The memory that the last message with an answer has left: the instance's own, and a copy for when the next one has none.
// A compute unit hands the memory in and out with each message; here that would be most of the time that it takes.
let memory = null;
let kept = new Uint8Array();
// What a new instance has to be given at first.
let given = null;
let n = 0;
for (const line of readFileSync(sequenceFile, 'utf8').split('\n')) {
  if (line === '') continue;
  const [time, message, environment, title] = line.split('\t');
  n += 1;
  let result;
  globalThis.parityNow = Number(time);
  const begin = elapsed();
  try {
    const { Memory, Output, Messages, Spawns, Assignments, Error } = await Promise.race([
      handle(given, JSON.parse(message), JSON.parse(environment)),
      new Promise((_, reject) => { fail = reject; }),
    ]);
    memory = new Uint8Array(Memory);
    given = null;
    result = { Output, Messages, Spawns, Assignments, Error };
  } catch (error) {
    // What the image itself reports is JSON; all else comes from JavaScript, or from Emscripten's runtime in it.
    const fromHost = error instanceof Error || error?.name === 'ExitStatus' || error === Infinity;
    result = fromHost ? { crashed: crash(error) } : { thrown: error ?? null };
    // Where a call has ended without an answer, the rest of the instance is of no more use.
    handle = await instance();
    given = kept.length > 0 ? kept : null;
    memory = null;
  }
  const ms = Math.round((elapsed() - begin) * 10) / 10;
  if (memory) {
    if (kept.length !== memory.length) kept = new Uint8Array(memory.length);
    kept.set(memory);
  }
  writeSync(results, `${JSON.stringify({ n, title, ...result, ms })}\n`);
}
closeSync(results);
// Emscripten's runtime may have left something that would wait.
process.exit(0);

function crash(error) {
  if (error?.name === 'ExitStatus') return { kind: 'exit', status: error.status };
  const text = String(error?.message ?? error);
  if (/call stack/.test(text)) return { kind: 'stack', text };
  if (error instanceof WebAssembly.RuntimeError) return { kind: /^Aborted/.test(text) ? 'abort' : 'trap', text };
  if (error instanceof SyntaxError) return { kind: 'answer', text };
  return { kind: 'error', text };
}
