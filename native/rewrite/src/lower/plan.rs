//! What has to be known of a function before it is rewritten.
//!
//! How a `try` is written depends on what follows it: its clauses, whether one of them is the subject of a `rethrow`,
//! and whether a `delegate` inside leads to it. One pass over the function collects that.
//!
//! # Where a delegate leads
//!
//! The exceptions that `delegate l` passes on continue as if thrown directly inside the construct with label `l`. They
//! are thus for the nearest guard at or around `l` in whose body (not in whose clauses) the delegate stands and that
//! handles exceptions at all; if that guard is itself closed by a `delegate`, they go where its exceptions go. If there
//! is none they leave the function.

use wasmparser::{FunctionBody, Operator};

use crate::Error;

/// The instruction that all legacy instructions need around them.
const TRY_OPCODE: u8 = 0x06;

/// A guard by its position in [`Plan::guards`].
pub(super) type GuardId = usize;

/// What is known of a function with legacy instructions.
pub(super) struct Plan {
    /// In the order in which they open, hence outer ones before inner ones.
    pub(super) guards: Vec<Guard>,
    /// Whether a delegate passes exceptions to the caller over some handler.
    pub(super) caller_landing: bool,
}

/// A construct that can handle the exceptions of its body: `try` or `try_table`.
pub(super) struct Guard {
    pub(super) kind: GuardKind,
    /// Whether a delegate passes exceptions to this guard over some handler.
    pub(super) landing: bool,
    /// The guard whose body this one is in.
    outer: Option<GuardId>,
}

/// How a guard handles exceptions.
pub(super) enum GuardKind {
    /// By a `try_table`, unless that is without clauses.
    TryTable {
        /// Whether it has clauses.
        catches: bool,
    },
    /// By the clauses of a `try`; without clauses not at all.
    Try(Vec<Clause>),
    /// By passing them to a guard further out, or to the caller.
    Delegate(Option<GuardId>),
}

/// A clause of a `try`.
pub(super) struct Clause {
    /// The tag that it catches; without one it catches everything.
    pub(super) tag: Option<u32>,
    /// Whether a `rethrow` needs the exception that it caught.
    pub(super) rethrown: bool,
}

impl Plan {
    /// Nothing when the function has no legacy instruction.
    pub(super) fn of(body: &FunctionBody<'_>) -> Result<Option<Plan>, Error> {
        // Most functions lack even the byte, which is found without decoding.
        if !body.as_bytes().contains(&TRY_OPCODE) {
            return Ok(None);
        }
        let mut planner = Planner::default();
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let offset = operators.original_position();
            planner.operator(&operators.read()?, offset)?;
        }
        operators.finish()?;
        Ok(planner.legacy.then(|| planner.plan()))
    }
}

/// A construct that is open at the current instruction.
#[derive(Clone, Copy)]
struct Construct {
    part: Part,
    /// The innermost guard whose body the current instruction would be in if this were the innermost construct.
    guard: Option<GuardId>,
}

/// The part of a construct that the current instruction is in.
#[derive(Clone, Copy)]
enum Part {
    Other,
    TryBody(GuardId),
    /// The clause added last to this guard.
    Clause(GuardId),
}

#[derive(Default)]
struct Planner {
    guards: Vec<Guard>,
    /// The constructs inside the function that are open.
    constructs: Vec<Construct>,
    legacy: bool,
}

impl Planner {
    fn operator(&mut self, operator: &Operator<'_>, offset: usize) -> Result<(), Error> {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                let guard = self.guard();
                self.constructs.push(Construct { part: Part::Other, guard });
            }
            Operator::TryTable { try_table } => {
                let id = self.open(GuardKind::TryTable { catches: !try_table.catches.is_empty() });
                self.constructs.push(Construct { part: Part::Other, guard: Some(id) });
            }
            Operator::Try { .. } => {
                self.legacy = true;
                let id = self.open(GuardKind::Try(Vec::new()));
                self.constructs.push(Construct { part: Part::TryBody(id), guard: Some(id) });
            }
            Operator::Catch { tag_index } => self.clause(Some(*tag_index), offset)?,
            Operator::CatchAll => self.clause(None, offset)?,
            Operator::Rethrow { relative_depth } => self.rethrow(*relative_depth, offset)?,
            Operator::Delegate { relative_depth } => self.delegate(*relative_depth, offset)?,
            // The last one ends the function, when no construct is left open.
            Operator::End => {
                self.constructs.pop();
            }
            _ => {}
        }
        Ok(())
    }

    fn guard(&self) -> Option<GuardId> {
        self.constructs.last().and_then(|construct| construct.guard)
    }

    fn open(&mut self, kind: GuardKind) -> GuardId {
        let outer = self.guard();
        self.guards.push(Guard { kind, landing: false, outer });
        self.guards.len() - 1
    }

    fn clause(&mut self, tag: Option<u32>, offset: usize) -> Result<(), Error> {
        let id = match self.constructs.pop().map(|construct| construct.part) {
            Some(Part::TryBody(id) | Part::Clause(id)) => id,
            _ => return Err(Error::malformed("a clause outside a try", offset)),
        };
        if let Some(Guard { kind: GuardKind::Try(clauses), .. }) = self.guards.get_mut(id) {
            clauses.push(Clause { tag, rethrown: false });
        }
        let guard = self.guard();
        self.constructs.push(Construct { part: Part::Clause(id), guard });
        Ok(())
    }

    fn rethrow(&mut self, depth: u32, offset: usize) -> Result<(), Error> {
        let part = self.labelled(depth).map(|construct| construct.part);
        if let Some(Part::Clause(id)) = part
            && let Some(guard) = self.guards.get_mut(id)
            && let GuardKind::Try(clauses) = &mut guard.kind
            && let Some(clause) = clauses.last_mut()
        {
            clause.rethrown = true;
            return Ok(());
        }
        Err(Error::malformed("a rethrow outside a clause", offset))
    }

    fn delegate(&mut self, depth: u32, offset: usize) -> Result<(), Error> {
        let Some(Part::TryBody(id)) = self.constructs.pop().map(|construct| construct.part) else {
            return Err(Error::malformed("a delegate outside a try", offset));
        };
        // The label of the function itself is not among these, and stands for the caller.
        let target = self.labelled(depth).and_then(|construct| construct.guard);
        if let Some(guard) = self.guards.get_mut(id) {
            guard.kind = GuardKind::Delegate(target);
        }
        Ok(())
    }

    fn labelled(&self, depth: u32) -> Option<Construct> {
        let depth = usize::try_from(depth).ok()?;
        self.constructs.iter().nth_back(depth).copied()
    }

    /// Turns the labels of the delegates into the guards that they lead to.
    fn plan(mut self) -> Plan {
        /// Who handles the exceptions thrown in the body of a guard.
        #[derive(Clone, Copy, Default)]
        struct Handlers {
            /// By the meaning of the original.
            meant: Option<GuardId>,
            /// The first one that the lowered function has around the body.
            met: Option<GuardId>,
        }

        let mut handlers: Vec<Handlers> = Vec::with_capacity(self.guards.len());
        let mut landings = Vec::new();
        for (id, guard) in self.guards.iter_mut().enumerate() {
            let of = |guard: Option<GuardId>| guard.and_then(|id| handlers.get(id).copied()).unwrap_or_default();
            let outside = of(guard.outer);
            let own = Handlers { meant: Some(id), met: Some(id) };
            let inside = match &mut guard.kind {
                GuardKind::TryTable { catches } if *catches => own,
                GuardKind::Try(clauses) if !clauses.is_empty() => own,
                GuardKind::TryTable { .. } | GuardKind::Try(_) => outside,
                GuardKind::Delegate(target) => {
                    let meant = of(*target).meant;
                    if meant == outside.met {
                        guard.kind = GuardKind::Try(Vec::new());
                        outside
                    } else {
                        *target = meant;
                        landings.push(meant);
                        Handlers { meant, ..own }
                    }
                }
            };
            handlers.push(inside);
        }

        let mut caller_landing = false;
        for landing in landings {
            match landing.and_then(|id| self.guards.get_mut(id)) {
                Some(guard) => guard.landing = true,
                None => caller_landing = true,
            }
        }
        Plan { guards: self.guards, caller_landing }
    }
}
