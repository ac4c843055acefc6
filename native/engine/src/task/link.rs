//! Images that are linked: their imports lead to the task that runs them.

use super::{Data, gas, suspend};
use crate::error::Error;
use crate::image::{Abandoned, Compiled, Hash, Image};
use crate::import::{Import, Server};
use crate::reaper;
use hb_wasm64_host::{serve, serve_at_once};
use std::collections::HashSet;
use std::future::ready;
use std::ops::Deref;
use std::sync::Arc;
use wasmtime::{AsContextMut, InstancePre, Linker};

/// An image that can be instantiated in microseconds.
pub struct LinkedImage {
    image: Arc<Image>,
    pre: InstancePre<Data>,
}

impl LinkedImage {
    /// Validates, rewrites, compiles and links a module. Takes seconds where the module is large.
    ///
    /// # Errors
    /// [`Error::InvalidModule`], [`Error::Unsupported`] or [`Error::Link`]; [`Error::Host`] where the compiler fails.
    pub fn compile(hash: Hash, bytes: &[u8]) -> Result<LinkedImage, Error> {
        LinkedImage::of(hash, bytes, Compiled::new(bytes, &Abandoned::default())?)
    }

    /// Links a module that has been compiled.
    pub(crate) fn of(hash: Hash, bytes: &[u8], compiled: Compiled) -> Result<LinkedImage, Error> {
        let (image, imports) = Image::of(hash, bytes, compiled)?;
        let mut linker = Linker::new(image.module().engine());
        let mut defined = HashSet::new();
        for Import { info, ty, server } in imports {
            // An image may import one function twice.
            if !defined.insert((info.module.clone(), info.name.clone())) {
                continue;
            }
            let (module, name) = (info.module.clone(), info.name.clone());
            let define = linker.func_new_async(&module, &name, ty, move |mut caller, params, results| {
                let at_once = match &server {
                    Server::Host(binding) => serve_at_once(caller.as_context_mut(), binding, &info, params, results),
                    Server::Meter(function) => Some(gas::serve(&mut caller.as_context_mut(), *function, results)),
                    Server::Erlang => None,
                };
                if let Some(result) = at_once {
                    return Box::new(ready(result));
                }
                let (info, server) = (info.clone(), server.clone());
                Box::new(async move {
                    let store = caller.as_context_mut();
                    match &server {
                        Server::Host(binding) => serve(store, binding, &info, params, results).await,
                        Server::Meter(_) | Server::Erlang => suspend(store, &info, params, results).await,
                    }
                })
            });
            define.map_err(|_| Error::Link { module: (*module).into(), name: (*name).into(), kind: "func" })?;
        }
        let pre = linker.instantiate_pre(image.module()).map_err(|error| Error::Host(format!("linker: {error:#}")))?;
        Ok(LinkedImage { image: Arc::new(image), pre })
    }

    pub(super) fn pre(&self) -> &InstancePre<Data> {
        &self.pre
    }

    pub(super) fn image(&self) -> &Arc<Image> {
        &self.image
    }
}

impl Deref for LinkedImage {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

impl Drop for LinkedImage {
    fn drop(&mut self) {
        // Whoever drops the image last may be on a scheduler: the code is unmapped elsewhere.
        reaper::dispose((self.pre.clone(), self.image.clone()));
    }
}
