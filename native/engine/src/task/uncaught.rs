//! What a call ends with that fails: exceptions that leave the guest, and errors.

use super::Data;
use crate::error::Error;
use crate::value::{self, Value};
use hb_wasm64_host::Width;
use hb_wasm64_rewrite::unwind::Thrown;
use wasmtime::{AsContextMut, GcHeapOutOfMemory, RootScope, StoreContextMut, Tag, Val};

/// Why a call has failed that ended with `error`.
pub(super) fn failed(store: &mut StoreContextMut<'_, Data>, error: &wasmtime::Error) -> Error {
    if let Some(uncaught) = uncaught(store) {
        return uncaught;
    }
    if error.is::<GcHeapOutOfMemory<()>>()
        && let Some(refused) = store.data_mut().limiter.heap_refused()
    {
        return Error::from_call(&refused);
    }
    Error::from_call(error)
}

/// The exception that left the guest last, if one did.
pub(super) fn uncaught(store: &mut StoreContextMut<'_, Data>) -> Option<Error> {
    let mut scope = RootScope::new(&mut *store);
    let exception = scope.as_context_mut().take_pending_exception()?;
    let fields: Vec<Val> = exception.fields(&mut scope).map(Iterator::collect).unwrap_or_default();
    let mut values: Vec<Value> = fields.iter().map(|val| value::from_val(&mut scope, val)).collect();
    let tag = exception.tag(&mut scope).ok();
    let store = &mut scope.as_context_mut();
    let tag = tag.and_then(|tag| match thrown(store, &tag) {
        Some(thrown) => {
            values.extend(pointer_to(thrown, store.data()));
            Some(thrown.name().to_owned())
        }
        None => tag_name(store, &tag),
    });
    Some(Error::Exception { tag, values })
}

/// What a tag means that Emscripten's scheme throws with.
fn thrown(store: &mut StoreContextMut<'_, Data>, tag: &Tag) -> Option<Thrown> {
    let (instance, image) = (store.data().instance?, store.data().image.clone());
    let mut tags = image.thrown().iter();
    let found = tags.find(|(export, _)| match instance.get_module_export(&mut *store, export) {
        Some(wasmtime::Extern::Tag(known)) => Tag::eq(&known, tag, &*store),
        _ => false,
    });
    found.map(|(_, thrown)| *thrown)
}

/// What was thrown, as a pointer of the image's width: the tags themselves carry nothing, as the host keeps it.
fn pointer_to(thrown: Thrown, data: &Data) -> Option<Value> {
    if thrown == Thrown::Longjmp {
        return None;
    }
    let exception = data.host.as_ref().map_or(0, |host| host.uncaught());
    Some(match data.image.width() {
        Width::Narrow => Value::I32(exception as i32),
        Width::Wide => Value::I64(exception as i64),
    })
}

/// The name under which the image exports a tag.
fn tag_name(store: &mut StoreContextMut<'_, Data>, tag: &Tag) -> Option<String> {
    let (instance, image) = (store.data().instance?, store.data().image.clone());
    let mut names = image.exports().iter().filter(|export| export.kind == "tag").map(|export| &export.name);
    let found =
        names.find(|name| instance.get_tag(&mut *store, name).is_some_and(|exported| Tag::eq(&exported, tag, &*store)));
    found.cloned()
}
