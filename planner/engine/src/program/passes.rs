//! Which pass over the data learns what.
//!
//! Each operation works on the whole result of the one before it. A pass applies what is known
//! already and learns for as many operations as it can: an operation that waits for what it
//! learns *taints* the columns it will write, and what reads a tainted column waits for the next
//! pass. Rows that a waiting operation will drop need no wait where figures are learned: their values
//! carry row ids, and the dropped ones are taken out before they are summed up.

use crate::operation::{ColumnSet, ProgramOp};

/// One pass over the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Operations that the pass applies or learns for, in order.
    pub actions: Vec<Action>,
    /// Why the pass is needed: the operations of the pass before that it had to wait for.
    pub waits_for: Vec<usize>,
}

/// What a pass does about an operation, given by its number in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Applies it.
    Apply(usize),
    /// Learns what it needs.
    Learn(usize),
}

impl Pass {
    /// Leaves out operations that nothing learned in the pass depends on.
    fn drop_needless(&mut self, ops: &[ProgramOp]) {
        let mut wanted = ColumnSet::new();
        let mut kept = Vec::with_capacity(self.actions.len());
        let mut learns = false;
        for action in self.actions.drain(..).rev() {
            match action {
                Action::Learn(number) => {
                    wanted.extend(&ops[number].op.reads());
                    learns = true;
                    kept.push(action);
                }
                Action::Apply(number) => {
                    let op = &ops[number].op;
                    let next = [Action::Learn(number + 1), Action::Apply(number + 1)];
                    let leads =
                        op.is_prerequisite() && kept.last().is_some_and(|kept| next.contains(kept));
                    if leads {
                        kept.push(action);
                    } else if learns && (op.drops_rows() || op.writes().meets(&wanted)) {
                        wanted.extend(&op.reads());
                        kept.push(action);
                    }
                }
            }
        }
        self.actions.extend(kept.into_iter().rev());
    }

    /// Operations that the pass learns for.
    pub fn learns(&self) -> impl Iterator<Item = usize> + '_ {
        self.actions.iter().filter_map(|action| match action {
            Action::Learn(op) => Some(*op),
            Action::Apply(_) => None,
        })
    }
}

/// The passes of a program; the last applies every operation and learns nothing.
pub fn plan_passes(ops: &[ProgramOp]) -> Vec<Pass> {
    let mut known: Vec<bool> = ops.iter().map(|op| op.op.statistic().is_none()).collect();
    let mut passes = Vec::new();
    let mut waits_for = Vec::new();
    while known.iter().any(|known| !known) {
        let mut pass = Pass {
            actions: Vec::new(),
            waits_for: std::mem::take(&mut waits_for),
        };
        let mut tainted = ColumnSet::new();
        let mut drops_wait = false;
        for (number, op) in ops.iter().enumerate() {
            let statistic = op.op.statistic();
            let needs_survivors =
                !known[number] && statistic.is_some_and(|statistic| !statistic.outlives_drops());
            let led = number > 0 && ops[number - 1].op.is_prerequisite() && !known[number - 1];
            if led || op.op.reads().meets(&tainted) || (needs_survivors && drops_wait) {
                // Its effect depends on what this pass only learns. If it may drop rows by that,
                // nothing behind it can be learned here.
                waits_for.push(number);
                if op.op.drops_rows() {
                    break;
                }
                tainted.extend(&op.op.writes());
            } else if known[number] {
                pass.actions.push(Action::Apply(number));
            } else {
                pass.actions.push(Action::Learn(number));
                tainted.extend(&op.op.writes());
                drops_wait |= op.op.drops_rows();
            }
        }
        for number in pass.learns() {
            known[number] = true;
        }
        pass.drop_needless(ops);
        waits_for.retain(|number| ops[*number].op.statistic().is_some());
        passes.push(pass);
    }
    passes.push(Pass {
        actions: (0..ops.len()).map(Action::Apply).collect(),
        waits_for,
    });
    passes
}
