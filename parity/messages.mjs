// Reads the sequence of messages for an image, and as a program writes it for the runners:
//
//   node messages.mjs IMAGE      one line for each message: TIME <tab> MESSAGE <tab> ENVIRONMENT <tab> TITLE
//
// where MESSAGE and ENVIRONMENT are the JSON that the image's `handle' is called with.
//
// A file in messages/ begins with lines for who reads it. Then come messages, each a line that tells what it is about and
// the lines of its data:
//
//   == TITLE {OPTIONS}       the process's owner sends an Eval
//   -> TITLE {OPTIONS}       any other message: it has an Action, and so on, only if the options say so
//
// The options are JSON and may be left out. `only' and `not' are lists of images, `repeat' is how many times the data are
// to be repeated, `Tags' are tags by name, and all else is a field of the message; `null' takes a field out of it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { images } from './images.mjs';
import first from './messages/first.mjs';
import process_ from './messages/process.mjs';

const id = (text) => createHash('sha256').update(text).digest('base64url');

export const owner = id('owner');
const processId = id('process');
const moduleId = id('module');

const titled = (part, list) => list.map(([title, ...rest]) => [`${part}: ${title}`, ...rest]);
const lists = { process: titled('process', process_), first: titled('first', first) };

// When the instance is started, and how much later each message comes.
export const startTime = 1_700_000_000_000;
const step = 1_234;

const tags = (object) => Object.entries(object).map(([name, value]) => ({ name, value }));

export const environment = {
  Process: {
    Id: processId,
    Owner: owner,
    Tags: tags({
      'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Process', Name: 'Parity', Module: moduleId,
      Authority: id('authority'), Scheduler: id('scheduler'), Memory: '500-mb',
    }),
  },
  Module: { Id: moduleId, Owner: id('builder'), Tags: tags({ 'Data-Protocol': 'ao', Type: 'Module' }) },
};

// The people of the sequences, by the names used there.
const people = { owner, process: processId, authority: id('authority'), stranger: id('stranger'), friend: id('friend') };

export function sequence(image) {
  if (!images[image]) throw new Error(`there are no messages for an image ${image}`);
  return images[image].parts
    .flatMap((part) => lists[part]?.map(([title, options, body]) => ({ title, kind: '->', options, body })) ?? parse(part))
    .filter(({ options: { only, not } }) => (!only || only.includes(image)) && !not?.includes(image))
    .map((part, index) => message(part, index + 1));
}

function parse(part) {
  const file = new URL(`messages/${part}.txt`, import.meta.url);
  const [, ...blocks] = readFileSync(file, 'utf8').split(/^(?=== |-> )/m);
  return blocks.map((block) => {
    const [head, ...body] = block.replace(/\n$/, '').split('\n');
    const [, kind, title, options] = /^(..) (.*?)(?: (\{.*\}))?$/.exec(head);
    try {
      return { title: `${part}: ${title}`, kind, options: JSON.parse(options ?? '{}'), body: body.join('\n') };
    } catch (error) {
      throw new Error(`${part}.txt, "${head}": ${error.message}`);
    }
  });
}

function message({ title, kind, options, body }, n) {
  const { only, not, repeat = 1, Tags = {}, ...fields } = options;
  const named = {
    'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Message', ...(kind === '==' ? { Action: 'Eval' } : {}), ...Tags,
  };
  const result = {
    Id: id(`message ${n}`), Target: processId, Owner: 'owner', From: 'owner', Module: moduleId, 'Block-Height': 1_400_000 + n,
    Timestamp: startTime + n * step, 'Hash-Chain': id(`chain ${n}`), Nonce: n, Epoch: 0, Cron: false, 'Read-Only': false,
    Tags: tags(named), Data: body.repeat(repeat), ...fields,
  };
  // Whoever sends a message also owns it, unless it is said to be otherwise.
  if (fields.From !== undefined && fields.Owner === undefined) result.Owner = result.From;
  for (const key of ['Id', 'From', 'Owner', 'Target']) result[key] = people[result[key]] ?? result[key];
  for (const [key, value] of Object.entries(fields)) if (value === null) delete result[key];
  return { n, title, time: Number(result.Timestamp ?? startTime + n * step), message: result, environment };
}

if (process.argv[1] === import.meta.filename) {
  for (const { time, message, environment, title } of sequence(process.argv[2])) {
    process.stdout.write(`${time}\t${JSON.stringify(message)}\t${JSON.stringify(environment)}\t${title}\n`);
  }
}
