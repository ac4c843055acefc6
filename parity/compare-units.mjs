// Compares what unit.mjs and parity_unit.erl have written about one image: every answer is the same, byte for byte, GasUsed included.
//
//   node compare-units.mjs IMAGE DIRECTORY     with the results `loader', `engine', and `taken': the loader from our checkpoints
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [image, directory] = process.argv.slice(2);
const [loader, engine, taken] = ['loader', 'engine', 'taken'].map((name) => readFileSync(join(directory, name), 'utf8')
  .split('\n').filter((line) => line !== '').map((line) => line.split('\t')));
const checkpoints = readdirSync(directory).filter((name) => name.endsWith('.memory'));
const same = checkpoints.filter((name) => readFileSync(join(directory, name), 'utf8') === 'same');

const differences = [];
for (const [index, [, , their, title]] of loader.entries()) {
  for (const [who, results] of [['hb_wasm64', engine], ['ao-loader from checkpoints of hb_wasm64', taken]]) {
    const our = results[index]?.[2];
    if (our === their) continue;
    let at = 0;
    while (our?.[at] === their[at] && at < their.length) at += 1;
    const from = Math.max(0, at - 80);
    differences.push(`    slot ${index}, ${title}, ${who}, from byte ${at}\n      ao-loader  ${their.slice(from, from + 300)}\n      differs    ` +
      `${our?.slice(from, from + 300) ?? 'nothing'}`);
  }
}
if (engine.length !== loader.length || taken.length !== loader.length) {
  differences.push(`    ao-loader has answered ${loader.length} slots, hb_wasm64 ${engine.length}, ao-loader from checkpoints ${taken.length}`);
}
const errors = loader.filter(([, , answer]) => answer.includes('"Error":')).length;
const seconds = (results) => `${(results.reduce((sum, [, ms]) => sum + Number(ms), 0) / 1000).toFixed(1)} s`;
console.log(
  `${image}, as in a compute unit: ${loader.length} slots (${errors} with errors), ${checkpoints.length} checkpoints handed over each way ` +
  `(${same.length} of the same bytes), ${differences.length} differences; ao-loader ${seconds(loader)}, hb_wasm64 ${seconds(engine)}`,
);
if (differences.length > 0) console.log(differences.slice(0, 20).join('\n'));
process.exit(differences.length > 0 ? 1 : 0);
