//! Rule files to a compiled, type-checked program.
//!
//! ```text
//! raw      TOML to a mirror of it, every value with its place
//! expr     text of a condition to a tree
//! check    tree to typed code for one model: names, units, constants; finds the operators
//! call     the functions that conditions can call, with their types
//! changes  what a reload changes: rules, and the state behind them
//! cost     what rules cost: bytes of state, and time by estimate
//! info     what can be asked of compiled rules as a whole
//! chart    what mails show of how a fault came: `[rule.chart]`
//! limits   schedules, gates and limits of rules
//! baseline what is usual, by regime: `[rule.baseline.NAME]`
//! fleet    what `forewarn fit` has learned: `config/baselines/*.toml`
//! family   the kinds of operators: their state, and what can be asked of it
//! program  what comes out: tables and offsets, nothing to look up at run time
//! logic    what a compiled condition can and cannot be, for warnings
//! tree     what an expression was made of, for people who ask why
//! sample   [rule.sample]: signals of a rule's own, one point a period
//! sequence steps in order: A, then B in time, unless C
//! load     all of it, for every model that a rule names
//! ```
//! `clear` defaults to *not `when`*; `clear = "true"` makes every true sample an episode of its own. `fault` defaults to
//! the id of the rule. A rule is looked at when a signal it reads arrives, even with the value it had. A rule that reads `silent` is driven by the clock: its holds count device time
//! without samples. Errors are `R0xx`, warnings `R2xx`.

mod baseline;
mod call;
mod changes;
mod chart;
mod check;
mod cost;
pub mod expr;
mod family;
mod fleet;
mod info;
mod limits;
mod load;
mod logic;
mod program;
mod raw;
mod sample;
mod schedule;
mod select;
mod sequence;
mod tables;
mod tree;
mod types;

#[cfg(test)]
pub(crate) use call::functions;
pub use changes::{Changes, RuleChange};
pub use cost::{ModelCost, RuleCost};
pub use fleet::Fleet;
pub use info::RuleInfo;
pub use load::{load, load_with};
pub use program::{BUCKETS, Program};

pub(crate) use baseline::{Amount, Baseline, FleetBin, Origin, nearest, regime};
pub(crate) use chart::Chart;
pub(crate) use check::MAX_STACK;
pub(crate) use limits::{BAR_WORDS, Bars, Hindrance};
pub(crate) use program::{
    Answer, Const, Family, Fold, FoldSpec, Gap, Ins, Item, Keep, LEVEL_WORDS, LevelProgram, MAX_LEVELS, ModelProgram,
    OnBackfill, OnGap, OpSpec, PEAKS, POINTS, Piece, RULE_WORDS, Read, RuleProgram, Shown, Slot, Steps, Uses,
    text_value,
};
pub(crate) use schedule::{Schedule, Window, zone};
pub(crate) use tree::{Node, Part};

use crate::source::{Diagnostic, Diagnostics};

/// Records a finding unless it has been found before: a rule for three models is checked three times.
fn push_once(diags: &mut Diagnostics, finding: Diagnostic) {
    let same = |d: &Diagnostic| {
        d.code == finding.code
            && d.message == finding.message
            && d.place.as_ref().map(|p| &p.0) == finding.place.as_ref().map(|p| &p.0)
    };
    if !diags.list().iter().any(same) {
        diags.push(finding);
    }
}
