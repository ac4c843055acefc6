// The images that are compared: the format under which ao-loader runs each, and the files in messages/ that make its
// sequence, in this order.
const language = [
  'start', 'values', 'numbers', 'strings', 'format', 'patterns', 'tables', 'functions', 'coroutines', 'utf8', 'time',
  'errors', 'modules', 'handlers', 'messages', 'files', 'memory', 'deep', 'paths', 'crashes',
];
const wasm64 = 'wasm64-unknown-emscripten-draft_2024_02_15';

export const images = {
  aos2_0_1: { format: wasm64, parts: language },
  aos2_0_3: { format: wasm64, parts: language },
  aos2_0_4_32: { format: 'wasm32-unknown-emscripten4', parts: language },
  aos2_0_6: { format: wasm64, parts: language },
  aos: { format: wasm64, parts: language },
  process: { format: wasm64, parts: ['process'] },
  sqlite: { format: wasm64, parts: language.toSpliced(-3, 0, 'sqlite') },
  // Images of AO's first year, which are no part of a package: see README.md.
  minified: { format: 'wasm32-unknown-emscripten', parts: ['first'] },
  old_time_t: { format: 'wasm32-unknown-emscripten2', parts: ['first'] },
  old_stat_sqlite: { format: 'wasm32-unknown-emscripten2', parts: language.toSpliced(-3, 0, 'sqlite') },
  metered_aos: { format: 'wasm32-unknown-emscripten2', parts: language },
  wd_process: { format: wasm64, parts: language },
  llama: { format: wasm64, parts: ['start', 'llama'] },
};

// As a program it tells the format of an image.
if (process.argv[1] === import.meta.filename) process.stdout.write(`${images[process.argv[2]].format}\n`);
