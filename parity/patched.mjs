// ao-loader with a clock that can be set. The package is read as text and changed in memory; the file stays as it is.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// ao-loader's clock starts at 10,000 milliseconds after 1970 and goes on by one each time that anybody looks at it:
// Date.now() and Emscripten's emscripten_get_now both ask deterministicNow(). A host of which the clock is set for each
// message and stands still meanwhile can be compared with it only if it does so too.
const patches = [
  ['return TIME++;', 'return globalThis.parityNow;'],
  // The first two formats show 0 to programs, and this to themselves.
  [/(_emscripten_date_now\(\) \{\s*return) 0;/, '$1 globalThis.parityNow;'],
  ['Date.now = () => TIME++;', 'Date.now = () => globalThis.parityNow;'],
];

export function aoLoader(packageDir) {
  const file = join(packageDir, 'dist', 'index.cjs');
  let source = readFileSync(file, 'utf8');
  for (const [from, to] of patches) {
    const changed = source.replaceAll(from instanceof RegExp ? new RegExp(from, 'g') : from, to);
    if (changed === source) throw new Error(`${file} has no "${from}": it is another version of ao-loader`);
    source = changed;
  }
  const module = { exports: {} };
  // As node does it with a file of its own.
  new Function('exports', 'require', 'module', '__filename', '__dirname', source)(
    module.exports, createRequire(file), module, file, join(packageDir, 'dist'),
  );
  return module.exports;
}
