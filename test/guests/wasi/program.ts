// A program in AssemblyScript on its shim for WASI. What nobody catches says its message; the status is then 255.
const argv = process.argv;
console.log("arguments: " + argv.slice(1).join(", "));
console.log("GREETING: " + (process.env.has("GREETING") ? process.env.get("GREETING") : "none"));
const numbers = new Map<string, i32>();
for (let i = 0; i < 1000; i++) {
  const key = (i % 7).toString();
  numbers.set(key, (numbers.has(key) ? numbers.get(key) : 0) + i);
}
const keys = numbers.keys();
for (let i = 0; i < keys.length; i++) console.log(keys[i] + ": " + numbers.get(keys[i]).toString());
console.log((<f64>1 / 3).toString());
console.error("to the error output");
if (argv.length > 3) throw new Error("too many arguments: " + (argv.length - 1).toString());
