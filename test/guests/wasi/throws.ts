// A module in AssemblyScript, without WASI: what nobody catches says its message.
export function add(a: i32, b: i32): i32 {
  return a + b;
}

export function fail(n: i32): i32 {
  if (n > 2) throw new Error("too many: " + n.toString());
  return n;
}

export function check(n: i32): i32 {
  assert(n < 10, "n is below ten");
  return n;
}

export function log(n: i32): void {
  console.log("n is " + n.toString());
}

export function said(n: i32): void {
  trace("traced", 2, n, 0.5);
}
