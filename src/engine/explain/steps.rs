//! Steps in order: which have been taken, and which is awaited until when.

use super::Part;
use super::tree::{Scene, ago, rounded};
use crate::domain::At;
use crate::engine::ops::{sequence, time};
use crate::rules::Node;

impl Scene<'_> {
    /// The steps with the match that is the furthest on.
    pub(super) fn steps(&self, node: &Node, op: u16) -> Part {
        let matches = sequence::under_way(self.op(op), self.words(op)).count();
        let leading = self.leading(op);
        let (value, note) = match (matches, self.last_match(op)) {
            (0, None) => ("none taken".to_owned(), String::new()),
            (0, Some(last)) => ("none taken".to_owned(), format!("last complete {}", ago(last, self.view.now))),
            (1, _) => ("under way".to_owned(), String::new()),
            (n, _) => ("under way".to_owned(), format!("{n} matches; this is the one that is the furthest on")),
        };
        let (taken, until) = leading.unwrap_or((&[], i64::MAX));
        let steps = node.children.iter().enumerate().map(|(ix, step)| {
            let (value, note) = match taken.get(ix) {
                Some(at) => ("taken".to_owned(), ago(time(*at), self.view.now)),
                None if ix == taken.len() && until == i64::MAX => ("awaited".to_owned(), String::new()),
                None if ix == taken.len() => ("awaited".to_owned(), format!("until {}", At::from_micros(until))),
                None => ("later".to_owned(), String::new()),
            };
            Part { value, note, ..self.part(step) }
        });
        let (text, place) = (node.text.to_string(), node.place.to_string());
        Part { text, place, value, note, parts: steps.collect() }
    }

    /// "step 'power' has come (…), and step 'button' has not; there are 4m left".
    pub(super) fn awaits(&self, node: &Node, op: u16) -> String {
        let name = |ix: usize| node.children.get(ix).map_or("", |step| &*step.text);
        match self.leading(op) {
            None => format!("step '{}' has not come", name(0)),
            Some((taken, until)) => {
                let last = taken.len() - 1;
                let came = ago(time(taken[last]), self.view.now);
                let left = rounded(until - self.view.now);
                format!(
                    "step '{}' came {came}, and step '{}' has not; there are {left} left",
                    name(last),
                    name(last + 1)
                )
            }
        }
    }

    fn leading(&self, op: u16) -> Option<(&[u64], i64)> {
        let live = |(_, until): &(&[u64], i64)| *until >= self.view.now;
        // Of those that are equally far the first to end counts.
        sequence::under_way(self.op(op), self.words(op))
            .filter(live)
            .min_by_key(|(taken, until)| (usize::MAX - taken.len(), *until))
    }

    fn last_match(&self, op: u16) -> Option<i64> {
        sequence::last(self.op(op), self.words(op)).and_then(<[u64]>::last).map(|at| time(*at))
    }
}
