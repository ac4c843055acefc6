;; Needs a tag from the host, which gives none: a link error.
(module $imported_tag
  (import "env" "t" (tag $t (param i32)))
  (func $throw (export "throw") i32.const 1 throw $t))
