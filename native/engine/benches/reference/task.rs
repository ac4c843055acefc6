//! The engine's own instances: what the NIF and Erlang add to these is what `make bench` wants to know.

use crate::Result;
use hb_wasm64_engine::value::{Arg, Value};
use hb_wasm64_engine::{
    CallOptions, CallRequest, Caller, FuncName, Instance, Progress, Response, Slice, StartRequest, Step, TicketId,
};
use hb_wasm64_engine::{LinkedImage, image};
use std::sync::Arc;

/// An instance whose owner and answerer is this program.
pub struct Task(Instance<(), ()>);

impl Task {
    pub fn load(path: &str) -> Result<Task> {
        let bytes = std::fs::read(path)?;
        let task = Task(Instance::new(Arc::new(LinkedImage::compile(image::hash(&bytes), &bytes)?)));
        let ticket = TicketId::fresh();
        task.finish(ticket, task.0.start(caller(ticket), StartRequest::default(), Slice::Short))?;
        Ok(task)
    }

    /// A call with one argument and one result.
    pub fn call(&self, func: &str, argument: Arg) -> Result<Value> {
        let ticket = TicketId::fresh();
        let request =
            CallRequest { func: FuncName::Export(func), args: vec![argument], options: CallOptions::default() };
        let step = self.0.call(caller(ticket), request, Slice::Short, Some(()));
        let results = self.finish(ticket, step)?;
        Ok(*results.first().ok_or("a function without a result")?)
    }

    /// Moves a call on to its end. Each import is answered with the sum of its arguments.
    fn finish(&self, ticket: TicketId, mut step: Step<()>) -> Result<Vec<Value>> {
        loop {
            step = match step.progress {
                Progress::Finished(results) | Progress::Measured(results, _) => return Ok(results?),
                Progress::Import(request) => {
                    self.0.respond(&request.scope, Response::Results(&[sum(&request.args)]))?;
                    self.0.resume(caller(ticket), Slice::Short, Some(()))
                }
                Progress::Yielded | Progress::Deferred => self.0.resume(caller(ticket), Slice::Long, Some(())),
                Progress::Waiting => return Err("somebody else uses the instance".into()),
                Progress::Long(_) => return Err("a call is handed over to a background thread".into()),
            }
        }
    }
}

fn caller(ticket: TicketId) -> Caller<'static, (), impl Fn()> {
    Caller { scope: None, ticket, process: (), owner: || () }
}

/// An argument as it is written: a float has a point.
pub fn argument(text: &str) -> Result<Arg> {
    Ok(if text.contains('.') { Arg::Float(text.parse()?) } else { Arg::Int(text.parse()?) })
}

fn sum(args: &[Value]) -> Arg {
    let add = |sum: i32, value: &Value| match value {
        Value::I32(n) => sum.wrapping_add(*n),
        _ => sum,
    };
    Arg::Int(args.iter().fold(0, add).into())
}

/// A result as Erlang writes it.
pub fn text(value: Value) -> Result<String> {
    Ok(match value {
        Value::I32(n) => n.to_string(),
        Value::I64(n) => n.to_string(),
        Value::F64(bits) => format!("{:?}", f64::from_bits(bits)),
        other => return Err(format!("a result of an unexpected kind: {other:?}").into()),
    })
}
