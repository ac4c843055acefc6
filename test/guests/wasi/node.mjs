// Runs a program of WASI in Node.js, the oracle: node node.mjs FILE [--env NAME=VALUE]... [ARGUMENT]...
// Its standard input, output and status are Node's; `/` is an empty directory.
import { mkdtempSync, readFileSync, rmSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WASI } from "node:wasi";
import { gunzipSync } from "node:zlib";

const [file, ...rest] = process.argv.slice(2);
const env = {};
while (rest[0] === "--env") {
  const [name, value] = rest.splice(0, 2)[1].split(/=(.*)/s);
  env[name] = value;
}
const root = mkdtempSync(join(tmpdir(), "wasi-"));
mkdirSync(join(root, "tmp"));
process.on("exit", () => rmSync(root, { recursive: true }));
const wasi = new WASI({ version: "preview1", args: ["program", ...rest], env, preopens: { "/": root }, returnOnExit: true });
const read = readFileSync(file);
const bytes = file.endsWith(".gz") ? gunzipSync(read) : read;
const instance = await WebAssembly.instantiate(await WebAssembly.compile(bytes), wasi.getImportObject());
process.exitCode = wasi.start(instance);
