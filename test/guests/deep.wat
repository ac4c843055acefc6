;; Recursion of several kinds; each goes so many calls deep, and returns that.
(module $deep
  (type $deep (func (param i32) (result i32)))
  (import "env" "ask" (func $ask (result i32)))
  (tag $tag)
  (table 1 funcref)
  (elem (i32.const 0) $indirect)

  (func $plain (export "plain") (param i32) (result i32)
    local.get 0
    if (result i32)
      local.get 0 i32.const 1 i32.sub call $plain
      i32.const 1 i32.add
    else
      i32.const 0
    end)

  (func $wide (export "wide") (param i64) (result i64)
    local.get 0
    i64.eqz
    if (result i64)
      i64.const 0
    else
      local.get 0 i64.const 1 i64.sub call $wide
      i64.const 1 i64.add
    end)

  (func $indirect (export "indirect") (param i32) (result i32)
    local.get 0
    if (result i32)
      local.get 0 i32.const 1 i32.sub i32.const 0 call_indirect (type $deep)
      i32.const 1 i32.add
    else
      i32.const 0
    end)

  ;; A second parameter that is needed after the call.
  (func $two_live (param i32 i32) (result i32)
    local.get 0
    if (result i32)
      local.get 0 i32.const 1 i32.sub local.get 1 call $two_live
      local.get 1 i32.add
    else
      i32.const 0
    end)
  (func (export "two") (param i32) (result i32) local.get 0 i32.const 1 call $two_live)

  (func $catch (export "catch") (param i32) (result i32)
    local.get 0
    if (result i32)
      try (result i32)
        local.get 0 i32.const 1 i32.sub call $catch
      catch $tag
        i32.const 0
      end
      i32.const 1 i32.add
    else
      i32.const 0
    end)

  (func $catch_all (export "catch_all") (param i32) (result i32)
    local.get 0
    if (result i32)
      try (result i32)
        local.get 0 i32.const 1 i32.sub call $catch_all
      catch_all
        i32.const 0
      end
      i32.const 1 i32.add
    else
      i32.const 0
    end)

  (func $rethrow (export "rethrow") (param i32) (result i32)
    local.get 0
    if (result i32)
      try (result i32)
        local.get 0 i32.const 1 i32.sub call $rethrow
      catch_all
        rethrow 0
      end
      i32.const 1 i32.add
    else
      i32.const 0
    end)

  ;; Asks the host in the deepest call.
  (func $ask_deep (export "ask") (param i32) (result i32)
    local.get 0
    if (result i32)
      local.get 0 i32.const 1 i32.sub call $ask_deep
      i32.const 1 i32.add
    else
      call $ask
    end))
