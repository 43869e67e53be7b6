//! The families of streaming operators: how much state each keeps, what it is called, and what can be asked of it.

use super::program::{PEAKS, POINTS};

/// What to ask of an operator's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Avg,
    Sum,
    Count,
    Min,
    Max,
    Stddev,
    Slope,
    R2,
    /// Pops the limit.
    TimeTo,
    Rate,
    /// The first sample in the window.
    First,
    /// The newest sample in the window.
    Newest,
    /// Newest minus first.
    Delta,
    Rises,
    Held,
    /// Whether the run of true began at this instant.
    Began,
    /// Time since it was last true (or became so).
    Since,
    /// How long it was true.
    TimeTrue,
    /// The share of that.
    Duty,
    /// The mean length of a run of true.
    MeanOn,
    /// All steps have been taken, at this instant the last.
    Complete,
    /// The time of a step has run out.
    Missed,
    /// Time since a step was taken.
    Step(u8),
    /// What a counter has grown by since its first sample.
    Grown,
    /// How often it was reset.
    Resets,
    /// A counter since its marker; unknown after a reset.
    Total,
    /// The same, going on where it was before a reset.
    TotalCarried,
    /// The point of a derived sample.
    Point,
    Prev,
    Changed,
    Ewma,
    /// Pops value and regime.
    Z,
    /// Pops the regime.
    Centre,
    /// Pops the regime.
    Scale,
    /// Pops so many values and the regime.
    T2(u8),
    Cusum,
    /// The threshold of the tail.
    Tail,
    /// Pops the quantile.
    Quantile,
    Resid,
}

impl Read {
    /// How many values it takes from the stack.
    pub(crate) fn pops(self) -> usize {
        match self {
            Self::Z => 2,
            Self::TimeTo | Self::Centre | Self::Scale | Self::Quantile => 1,
            Self::T2(values) => usize::from(values) + 1,
            _ => 0,
        }
    }
}

/// The families of operator state. One state serves all reads of its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Sum and count a bucket.
    Sum,
    /// Lowest a bucket.
    Min,
    /// Highest a bucket.
    Max,
    /// Mean and squared deviation a bucket.
    Moments,
    /// Means, deviations and co-deviation of time and value a bucket.
    Trend,
    /// First sample a bucket, and the newest of all.
    Rate,
    /// Rising edges a bucket.
    Rises,
    /// Start of the current run of true.
    Held,
    /// The newest true sample.
    Seen,
    /// When it last became true.
    Rose,
    /// True time and runs of true a bucket.
    Runs,
    /// Partial matches of steps.
    Sequence(Steps),
    /// A counter, its resets and rollovers seen to.
    Counter,
    /// The same since a marker.
    Total,
    /// One point a period.
    Sample(Keep),
    /// The newest sample and the one before.
    Last,
    /// Running mean.
    Ewma,
    /// What is usual, by regime; its words depend on the baseline.
    Baseline,
    /// Cumulative sum.
    Cusum,
    /// Peaks over a threshold.
    Tail,
    /// Weighted points a bucket.
    Sketch,
    /// Sums for a parabola a bucket.
    Resid,
}

impl Family {
    /// Words before the buckets: newest bucket number, time of the newest sample, newest value or what the family needs.
    pub(crate) fn head(self) -> usize {
        match self {
            Self::Sum | Self::Min | Self::Max | Self::Moments | Self::Trend | Self::Sketch => 2,
            Self::Rate | Self::Rises | Self::Runs => 3,
            Self::Held | Self::Rose | Self::Cusum => 2,
            Self::Seen => 1,
            Self::Counter => 6,
            Self::Total => 7,
            Self::Sample(_) => 5,
            Self::Sequence(steps) => 2 + usize::from(steps.count) * (1 + usize::from(steps.overlap)),
            Self::Last | Self::Ewma | Self::Resid => 4,
            Self::Tail => 6 + PEAKS,
            Self::Baseline => 0,
        }
    }

    /// Words of one bucket; 0 if there are none.
    pub(crate) fn bucket(self) -> usize {
        match self {
            Self::Sum | Self::Min | Self::Max | Self::Rate => 2,
            Self::Moments | Self::Runs => 3,
            Self::Trend => 6,
            Self::Resid => 8,
            Self::Sketch => POINTS + POINTS / 2 + 1,
            Self::Rises => 1,
            Self::Held
            | Self::Seen
            | Self::Rose
            | Self::Sequence(_)
            | Self::Counter
            | Self::Total
            | Self::Sample(_)
            | Self::Baseline
            | Self::Tail
            | Self::Cusum
            | Self::Last
            | Self::Ewma => 0,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Moments => "moments",
            Self::Trend => "trend",
            Self::Rate => "rate",
            Self::Rises => "rises",
            Self::Held => "held",
            Self::Seen => "seen",
            Self::Rose => "rose",
            Self::Runs => "runs",
            Self::Sequence(_) => "sequence",
            Self::Counter => "counter",
            Self::Total => "total",
            Self::Sample(keep) => keep.as_str(),
            Self::Last => "last",
            Self::Ewma => "ewma",
            Self::Baseline => "baseline",
            Self::Cusum => "cusum",
            Self::Tail => "tail",
            Self::Sketch => "sketch",
            Self::Resid => "resid",
        }
    }

    /// The canonical name of the operator over `input` and its constants.
    pub(crate) fn key<'a>(self, input: &'a str, constants: impl Iterator<Item = &'a str>) -> String {
        let list: Vec<&str> = std::iter::once(input).chain(constants).collect();
        format!("{}({})", self.as_str(), list.join(", "))
    }
}

/// What of a period a derived sample keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Min,
    Max,
    Mean,
    Last,
}

impl Keep {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Min => "lowest",
            Self::Max => "highest",
            Self::Mean => "mean",
            Self::Last => "newest",
        }
    }
}

/// The shape of a sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) count: u8,
    /// Most partial matches.
    pub(crate) overlap: u8,
    /// Each true sample of the first step begins a match, not only the first of a run.
    pub(crate) every: bool,
}
