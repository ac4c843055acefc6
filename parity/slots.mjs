// The sequence of slots for an image, as HyperBEAM sends them to a compute unit: the messages of messages.mjs, as far as schedules can
// have them, behind that of the process itself.
//
//   node slots.mjs IMAGE [COUNT]    the environment, then one line for each slot: {"slot": {message, assignment}, "title"}
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { environment, owner, sequence, startTime } from './messages.mjs';

const id = (text) => createHash('sha256').update(text).digest('base64url');
const { Process, Module } = environment;
const signature = (text) => createHash('sha512').update(text).digest('base64url').repeat(8);

// What differs for a reason (explained.txt) is none of them: here everything has to be the same.
const explanations = readFileSync(new URL('explained.txt', import.meta.url), 'utf8').split('\n')
  .filter((line) => line !== '' && !line.startsWith('#')).map((line) => new RegExp(`^(?:${/^(\S.*?)\s{2,}/.exec(line)[1]})$`));
const isExplained = (place) => explanations.some((pattern) => pattern.test(place));

// Those of the start, which the others build on; then some that are spread over the rest evenly, or the rest again and again.
export function slots(image, count) {
  const all = sequence(image).filter(({ title, message }) =>
    typeof message.Data === 'string' && message.Tags && message.Owner && message.From && !isExplained(`${image}: ${title}`));
  const start = all.filter(({ title }) => title.startsWith('start:'));
  const rest = all.filter(({ title }) => !title.startsWith('start:'));
  const places = Array.from({ length: count - 1 - start.length }, (_, i) =>
    (rest.length < count ? i % rest.length : Math.floor((i * rest.length) / (count - 1 - start.length))));
  const picked = [...start, ...places.map((place) => rest[place])];
  const first = { title: 'the process', message: { Data: '', Owner: owner, From: owner, Tags: Process.Tags } };
  return [first, ...picked].map(({ title, message: { Data, Owner, From, Tags } }, slot) => {
    const forwarded = Owner === From ? [] : [{ name: 'From-Process', value: From }];
    const message = {
      Id: slot === 0 ? Process.Id : id(`slot ${slot}`), Signature: signature(`signature ${slot}`), Data, Owner, Anchor: id(`anchor ${slot}`),
      Tags: [...Tags.map(({ name, value }) => ({ name, value: String(value) })), ...forwarded], Target: Process.Id,
    };
    const said = {
      'Data-Protocol': 'ao', Epoch: '0', Slot: String(slot), Process: Process.Id, Timestamp: String(startTime + slot * 1_234),
      'Block-Height': String(1_400_000 + slot).padStart(12, '0'), 'Hash-Chain': id(`chain ${slot}`), Type: 'Assignment',
    };
    const assignment = { Id: id(`assignment ${slot}`), Tags: Object.entries(said).map(([name, value]) => ({ name, value })) };
    return { slot: { message, assignment }, title };
  });
}

if (process.argv[1] === import.meta.filename) {
  process.stdout.write(`${JSON.stringify({ Process, Module })}\n`);
  for (const slot of slots(process.argv[2], Number(process.argv[3] ?? 201))) process.stdout.write(`${JSON.stringify(slot)}\n`);
}
