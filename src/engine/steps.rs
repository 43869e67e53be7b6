//! Rules with steps: when a step is missed, and when it all began.

use super::device::Device;
use super::ops::{Op, sequence};
use crate::rules::{ModelProgram, RuleProgram};

impl Device {
    /// The operator that follows the steps of a rule.
    fn steps<'a>(&'a self, program: &'a ModelProgram, rule: &RuleProgram) -> Option<(Op<'a>, bool)> {
        let steps = rule.sequence.as_ref()?;
        let op = usize::from(steps.op);
        Some((self.profile.op(op, &program.ops[op]), steps.timeouts))
    }

    /// Device time at which a step is missed, if that matters to the rule.
    pub(super) fn missed_at(&self, program: &ModelProgram, rule: &RuleProgram, part: Option<usize>) -> Option<i64> {
        let (op, timeouts) = self.steps(program, rule)?;
        let at = timeouts.then(|| sequence::deadline(op, &self.row(part)[op.spec.offset..]))?;
        (at != i64::MAX).then_some(at)
    }

    /// Device time of the first step of what is complete or missed at `now`.
    pub(super) fn began(
        &self,
        program: &ModelProgram,
        rule: &RuleProgram,
        part: Option<usize>,
        now: i64,
    ) -> Option<i64> {
        let (op, _) = self.steps(program, rule)?;
        Some(sequence::began(op, &self.row(part)[op.spec.offset..], now)).filter(|at| *at != 0)
    }

    /// What was missed has been told, and is over.
    pub(super) fn forget_missed(&mut self, program: &ModelProgram, rule: usize, part: Option<usize>, now: i64) {
        let profile = self.profile.clone();
        let Some(steps) = program.rules[rule].sequence.as_ref().filter(|s| s.timeouts) else { return };
        let op = usize::from(steps.op);
        let op = profile.op(op, &program.ops[op]);
        sequence::expire(op, &mut self.row_mut(part)[op.spec.offset..], now);
    }
}
