//! Imports that are asked for: the guest stops until somebody answers.

use super::{Command, Data, Outcome, publish_size, serve};
use crate::error::ImportFailure;
use crate::import::{ImportInfo, Reply};
use crate::ticker::SLICE_TICKS;
use crate::value;
use hb_wasm64_host::Intercepted;
use std::sync::Arc;
use wasmtime::{AsContextMut, StoreContextMut, Val};

/// The body of an import that the host does not serve.
pub(crate) async fn suspend(
    store: StoreContextMut<'_, Data>,
    import: &Arc<ImportInfo>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    match ask(store, import, params, results).await? {
        Intercepted::Answered => Ok(()),
        // `instance` accepts such an answer only for imports that the host serves.
        Intercepted::Passed => Err(ImportFailure::Refused(Arc::from([])).into()),
    }
}

/// Stops the task until the answer to an import comes, and serves what the one who answers asks for.
pub(crate) async fn ask(
    mut store: StoreContextMut<'_, Data>,
    import: &Arc<ImportInfo>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<Intercepted> {
    let answer = if store.data().stub {
        let first = params.first().map(|val| value::from_val(&mut store, val));
        match import.unserved(first.as_ref()) {
            Ok(results) => Ok(Reply::Results(results)),
            Err(failure) => return Err(failure.into()),
        }
    } else {
        let args = params.iter().map(|val| value::from_val(&mut store, val)).collect();
        publish_size(&mut store);
        let data = store.data();
        let port = data.port.clone();
        port.stop_with(Outcome::Import(data.ticket, import.clone(), args));
        let answer = loop {
            match port.next().await {
                Command::Answer(answer) => break answer,
                command => Box::pin(serve(store.as_context_mut(), command)).await,
            }
        };
        // Only who really stopped has a new slice: a loop of imports answered at once would never come to the end of one.
        store.set_epoch_deadline(SLICE_TICKS);
        answer
    };
    let Reply::Results(values) = answer? else { return Ok(Intercepted::Passed) };
    for (result, value) in results.iter_mut().zip(values) {
        *result = value::to_val(&mut store, value).await?;
    }
    Ok(Intercepted::Answered)
}
