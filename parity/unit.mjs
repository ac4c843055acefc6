// Plays a sequence of slots to an image in ao-loader, driven as AO's compute unit ("CU") does it in HyperBEAM: each slot is evaluated
// in a new instance, with nothing but the memory that the one before has left; an error leaves none. Its answer is what the CU sends.
//
//   node --expose-gc --experimental-wasm-memory64 unit.mjs PACKAGE FORMAT IMAGE SEQUENCE RESULTS DIRECTORY [take]
//
// SEQUENCE is what slots.mjs has written. RESULTS gets a line for each slot: its answer, milliseconds and the title. After each tenth slot
// the memory is put into DIRECTORY as the CU's checkpoint, NUMBER.loader; with `take' it goes on from the one of the library there,
// NUMBER.engine, instead. Each twenty slots are another process: what its instances had, JavaScript hardly gives back.
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const elapsed = performance.now.bind(performance);
const [packageDir, format, imageFile, sequenceFile, resultsFile, directory, take, first] = process.argv.slice(2);
const [head, ...lines] = readFileSync(sequenceFile, 'utf8').split('\n').filter((line) => line !== '');
const segment = 20;
if (first === undefined) {
  closeSync(openSync(resultsFile, 'w'));
  for (let from = 0; from < lines.length; from += segment) {
    const { status } = spawnSync(
      process.execPath, [...process.execArgv, ...process.argv.slice(1, 8), take ?? '', String(from)], { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    if (status !== 0) process.exit(1);
  }
  process.exit(0);
}

process.argv = [process.argv[0], './this.program'];
const aoLoader = createRequire(import.meta.url)(join(packageDir, 'dist', 'index.cjs'));
const module = await WebAssembly.compile(readFileSync(imageFile));
const results = openSync(resultsFile, 'a');
console.log = console.warn = console.error = () => {};

let fail = () => {};

const environment = JSON.parse(head);

// WeaveDrive without anything to be had. Images built with it ask for it whenever they read or close a file.
const WeaveDrive = () => ({ open: async () => 0, read: async () => 0, close: () => 0 });

// The first formats are given the image's bytes in a function, too.
const instance = () => aoLoader(
  (info, receive) => WebAssembly.instantiate(module, info).then(receive),
  {
    format, inputEncoding: 'JSON-1', outputEncoding: 'JSON-1', memoryLimit: 1_000_000_000, computeLimit: 9_000_000_000_000,
    extensions: {}, mode: 'Assignments', WeaveDrive, ARWEAVE: 'https://arweave.net', UNSAFE_MEMORY: true,
    spawn: environment.Process, module: environment.Module, blockHeight: 100,
  },
);

const begun = Number(first);
let memory = begun === 0 ? null : gunzipSync(readFileSync(join(directory, `${begun - 1}.${take ? 'engine' : 'loader'}`)));
if (memory?.length === 0) memory = null;
for (const [index, line] of [...lines.entries()].slice(begun, begun + segment)) {
  const { slot, title } = JSON.parse(line);
  const begin = elapsed();
  let result;
  let handle;
  // Instances leave listeners behind, which would keep them.
  for (const event of ['unhandledRejection', 'uncaughtException']) process.removeAllListeners(event);
  process.on('unhandledRejection', (error) => fail(error));
  try {
    handle = await instance();
    result = await Promise.race([
      handle(memory ?? new Uint8Array(), message(slot), environment),
      new Promise((_, reject) => { fail = reject; }),
    ]);
  } catch (error) {
    result = { Error: error };
  }
  const answer = sent(result);
  const ms = Math.round((elapsed() - begin) * 10) / 10;
  // What instances had is not counted as JavaScript's memory: large ones would pile up.
  handle = null;
  if (!result.Error && result.Memory && !lacksMemory(result.Output)) memory = kept(new Uint8Array(result.Memory));
  result = null;
  globalThis.gc();
  writeSync(results, `${index}\t${ms}\t${answer}\t${title}\n`);
  if (index % 10 === 9) {
    if (take) memory = gunzipSync(readFileSync(join(directory, `${index}.engine`)));
    else {
      writeFileSync(join(directory, `${index}.loader`), gzipSync(memory ?? new Uint8Array(), { level: 1 }));
      const hash = createHash('sha256').update(memory ?? new Uint8Array()).digest('hex');
      writeFileSync(join(directory, `${index}.sha256`), hash);
    }
  }
}
closeSync(results);
process.exit(0);

// One array for all memories: each is as large as the one before or larger.
function kept(bytes) {
  if (memory?.length !== bytes.length) return new Uint8Array(bytes);
  memory.set(bytes);
  return memory;
}

// The message as the CU puts it, from what a node sends: its fields, and their order.
function message({ message: said, assignment }) {
  const tags = (of, name) => of.Tags.filter((tag) => tag.name === name).map(({ value }) => value);
  const number = (name) => parseInt(tags(assignment, name)[0]);
  const forwarded = tags(said, 'From-Process')[0];
  const { Id, Signature, Data, Owner, Anchor } = said;
  return {
    Id, Signature, Data, Owner, Target: tags(assignment, 'Process')[0], Anchor, From: forwarded || Owner,
    'Forwarded-By': forwarded === undefined ? undefined : Owner,
    Tags: said.Tags.map(({ name, value }) => ({ name, value: `${value}` })).filter(({ name }) => !['From', 'Owner'].includes(name)),
    Epoch: number('Epoch'), Nonce: number('Slot'), Timestamp: number('Timestamp'), 'Block-Height': number('Block-Height'),
    'Hash-Chain': tags(assignment, 'Hash-Chain')[0], Cron: false, 'Read-Only': false,
  };
}

// What the CU sends of a result, once that has come from the thread that has evaluated it.
function sent({ Messages, Assignments, Spawns, Output, Patches, GasUsed, Error }) {
  return JSON.stringify(structuredClone({
    Messages: Messages ?? [], Assignments: Assignments ?? [], Spawns: Spawns ?? [],
    Output: typeof Output === 'number' ? String(Output) : Output ?? '', Patches: Patches ?? [], GasUsed, Error: Error ?? undefined,
  }, { transfer: [] }));
}

function lacksMemory(output) {
  const text = typeof output === 'object' ? output?.data?.output : output;
  return typeof text === 'string' && text.endsWith('not enough memory for buffer allocation');
}
