;; Needs a global from the host, which gives none: a link error.
(module $imported_global
  (import "env" "g" (global $g i32))
  (func $get (export "get") (result i32) global.get $g))
