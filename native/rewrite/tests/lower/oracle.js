// Runs the modules that the standard input names, one per line with the arguments of its export `run`, in this engine,
// which has legacy exceptions of its own. Describes what happens in the words of `support::call`.
const fs = require('node:fs');

function values(list) {
  return list.map((value) => ` ${value}`).join('');
}

function describe(bytes, args) {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  let description;
  try {
    const result = exports.run(...args);
    const results = result === undefined ? [] : Array.isArray(result) ? result : [result];
    description = `returns${values(results)}`;
  } catch (error) {
    description = 'traps';
    if (error instanceof WebAssembly.Exception) {
      description = 'throws';
      for (const [name, tag] of Object.entries(exports)) {
        if (!(tag instanceof WebAssembly.Tag) || !error.is(tag)) continue;
        const fields = [];
        // Nothing tells how many fields there are but asking for one too many.
        for (;;) {
          try {
            fields.push(error.getArg(tag, fields.length));
          } catch {
            break;
          }
        }
        description = `throws ${name}${values(fields)}`;
        break;
      }
    } else if (!(error instanceof WebAssembly.RuntimeError)) {
      throw error;
    }
  }
  if ('trace' in exports) description += `, trace ${exports.trace.value}`;
  return description;
}

for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const [file, ...args] = line.split('\t');
  console.log(describe(fs.readFileSync(file), args.map(Number)));
}
