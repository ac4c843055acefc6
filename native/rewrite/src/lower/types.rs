//! The function types of a module, and those that lowering adds to them.

use std::collections::HashMap;

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, FuncType, ValType};

use crate::Error;
use crate::module::Module;

/// A bound on the value types in all added types together. Crossing block types with tags could otherwise make a small
/// module lower to a huge one.
const MAX_ADDED_VALUES: usize = 1 << 22;

/// The types of a module as far as block types and tags need them.
pub(super) struct Types {
    /// By type index; nothing for a type that is not a function's.
    functions: Vec<Option<FuncType>>,
    /// By tag index, the type index.
    tags: Vec<u32>,
    /// For each signature, a type index that block types can use.
    indices: HashMap<FuncType, u32>,
    /// What [`catching`](Self::catching) has returned for a body's function type, a tag, and whether with the exception.
    /// Saves the comparison of long types for each clause.
    catching: HashMap<(Option<u32>, Option<u32>, bool), BlockType>,
    added: Vec<FuncType>,
    added_values: usize,
}

impl Types {
    pub(super) fn of(module: &Module<'_>) -> Result<Self, Error> {
        let mut types = Types {
            functions: Vec::with_capacity(module.types.len()),
            tags: module.tags.clone(),
            indices: HashMap::new(),
            catching: HashMap::new(),
            added: Vec::new(),
            added_values: 0,
        };
        for index in 0..module.types.len() as u32 {
            let ty = module.func_type(index).map(|ty| RoundtripReencoder.func_type(ty.clone())).transpose();
            types.functions.push(ty.map_err(|error| Error::from_reencode(error, 0))?);
        }
        for (index, _) in module.unshared_func_types() {
            if let Some(Some(ty)) = types.functions.get(index as usize) {
                types.indices.entry(ty.clone()).or_insert(index);
            }
        }
        Ok(types)
    }

    /// The function type at a type index.
    pub(super) fn function(&self, index: u32) -> Option<&FuncType> {
        self.functions.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// The type of a block around a body of type `body` that a caught exception leaves. Its parameters are those of the
    /// body; its results are the values of an exception with this tag, then the exception itself if that is wanted.
    pub(super) fn catching(
        &mut self,
        body: BlockType,
        tag: Option<u32>,
        exception: bool,
        offset: usize,
    ) -> Result<BlockType, Error> {
        let body = match body {
            BlockType::Empty | BlockType::Result(_) => None,
            BlockType::FunctionType(index) => Some(index),
        };
        if let Some(&ty) = self.catching.get(&(body, tag, exception)) {
            return Ok(ty);
        }
        let params = body.map_or(Ok(Vec::new()), |index| self.params(index, offset))?;
        let mut results = match tag {
            Some(tag) => {
                let ty = usize::try_from(tag).ok().and_then(|tag| self.tags.get(tag));
                let ty = ty.ok_or_else(|| Error::malformed(format!("there is no tag {tag}"), offset))?;
                self.params(*ty, offset)?
            }
            None => Vec::new(),
        };
        if exception {
            results.push(ValType::EXNREF);
        }
        let ty = self.block(params, results)?;
        self.catching.insert((body, tag, exception), ty);
        Ok(ty)
    }

    fn params(&self, index: u32, offset: usize) -> Result<Vec<ValType>, Error> {
        self.function(index)
            .map(|ty| ty.params().to_vec())
            .ok_or_else(|| Error::malformed(format!("type {index} is not a function's"), offset))
    }

    /// A block type with these params and results, added when there is none yet.
    fn block(&mut self, params: Vec<ValType>, results: Vec<ValType>) -> Result<BlockType, Error> {
        match (params.as_slice(), results.as_slice()) {
            ([], []) => return Ok(BlockType::Empty),
            ([], [result]) => return Ok(BlockType::Result(*result)),
            _ => {}
        }
        let values = params.len() + results.len();
        let ty = FuncType::new(params, results);
        if let Some(&index) = self.indices.get(&ty) {
            return Ok(BlockType::FunctionType(index));
        }
        self.added_values += values;
        if self.added_values > MAX_ADDED_VALUES {
            return Err(Error::TooLarge("it would have too many block types".into()));
        }
        let index = self.next_index()?;
        self.indices.insert(ty.clone(), index);
        self.functions.push(Some(ty.clone()));
        self.added.push(ty);
        Ok(BlockType::FunctionType(index))
    }

    /// The types to append to the module's own.
    pub(super) fn into_added(self) -> Vec<FuncType> {
        self.added
    }

    fn next_index(&self) -> Result<u32, Error> {
        u32::try_from(self.functions.len()).map_err(|_| Error::TooLarge("it would have too many types".into()))
    }
}
