//! What a device's baselines have seen last, for whoever learns what is usual in a fleet.

use super::Engine;
use super::ops::time;
use crate::domain::{DeviceId, shard_of};
use crate::rules::{Baseline, Origin};

/// The newest sample of a baseline that is being learned.
#[derive(Debug)]
pub(crate) struct Newest<'a> {
    pub(crate) baseline: &'a Baseline,
    /// Index of the operator in the program of the model.
    pub(crate) op: usize,
    /// Which of the device's parts it is of.
    pub(crate) part: Option<usize>,
    /// Device time, in microseconds.
    pub(crate) at: i64,
    /// How long it counts at most, in microseconds.
    pub(crate) covers: i64,
    /// Bits of the values: those of `of`, then those of `by`.
    pub(crate) values: &'a [u64],
}

impl Engine {
    /// Hands over the newest samples of all baselines of a device that are being learned.
    pub(crate) fn newest(&self, model: usize, device: &DeviceId, mut tell: impl FnMut(Newest<'_>)) {
        let shard = &self.shards[usize::from(shard_of(device.as_str()))];
        let Some(ix) = shard.index[model].get(device) else { return };
        let device = &shard.devices[*ix as usize];
        for (op, spec) in self.program.models[model].ops.iter().enumerate() {
            let Some(baseline) = spec.baseline.as_deref().filter(|b| b.source == Origin::Learning) else { continue };
            let parts = device.parts.range(spec.lane).map(|ix| (Some(ix), &*device.parts.0[ix].row));
            let own = (spec.lane == 0).then_some((None, &*device.row));
            for (part, row) in own.into_iter().chain(parts) {
                let head = &row[spec.offset..][..baseline.head()];
                if head[0] != 0 {
                    let (at, covers) = (time(head[0]), spec.covers);
                    tell(Newest { baseline, op, part, at, covers, values: &head[3..] });
                }
            }
        }
    }
}
