// The reference of the rows about recursion in `make bench`: V8, driven line by line.
//
//   node --no-liftoff recursion.mjs IMAGE
//
// A line "FUNC<tab>TURNS" is answered with "DEPTH.0<tab>": the most calls that FUNC may go deep.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const imports = { env: { ask: () => 0 } };
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), imports);

const fits = (func, depth) => {
  try {
    return instance.exports[func](depth) === depth;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
};
for await (const line of createInterface({ input: process.stdin })) {
  const [func] = line.split('\t');
  let [most, tooMany] = [0, 1 << 20];
  while (tooMany - most > 1) {
    const middle = (most + tooMany) >> 1;
    if (fits(func, middle)) most = middle;
    else tooMany = middle;
  }
  console.log(`${most}.0\t`);
}
process.exit(0);
