//! The time of day where a device stands, and patterns that texts match.

use std::sync::Arc;

use jiff::tz::TimeZoneDatabase;
use regex::{Regex, RegexBuilder};

use super::super::check::{Checker, Typed};
use super::super::expr::{Expr, Kind, Word};
use super::super::program::{Const, Ins, Uses};
use super::super::types::Ty;
use super::Call;
use crate::source::{Diagnostic, did_you_mean};

pub(super) const CALLS: &[Call] = &[
    Call { name: "hour", usage: "hour()", takes: 0..=1, check: |c, name, a| c.civil(name, a) },
    Call { name: "weekday", usage: "weekday()", takes: 0..=1, check: |c, name, a| c.civil(name, a) },
];

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A compiled pattern has at most so many bytes.
const MAX_PATTERN: usize = 64 * 1_024;

impl Checker<'_> {
    /// `hour()`, 0 to 23, and `weekday()`, of the device's time zone or of the one that is named.
    fn civil(&mut self, name: &Word, args: &[Expr]) -> Option<Typed> {
        let zone = match args {
            [] => None,
            [Expr { kind: Kind::Text(zone), span }] => {
                if TimeZoneDatabase::bundled().get(zone).is_err() {
                    let known: Vec<String> = TimeZoneDatabase::bundled().available().map(|z| z.to_string()).collect();
                    let near =
                        did_you_mean(zone, known.iter().map(String::as_str)).map(|n| format!("did you mean '{n}'?"));
                    let finding = Diagnostic::error("R075", format!("there is no time zone '{zone}'")).maybe_hint(near);
                    self.report_at(finding, &span.clone(), "an IANA name, such as 'Europe/Berlin'");
                    return None;
                }
                Some(zone.clone())
            }
            [other, ..] => {
                let finding = Diagnostic::error("R075", "a time zone is a text").hint("write hour('Europe/Berlin')");
                self.report(finding, other, "");
                return None;
            }
        };
        let text = format!("{}({})", name.text, zone.as_deref().unwrap_or("device"));
        let ix = self.tables.zone(zone);
        let (ty, ins) = if &*name.text == "hour" {
            (Ty::plain(), Ins::Hour(ix))
        } else {
            (Ty::Enum(DAYS.map(Arc::from).as_slice().into()), Ins::Weekday(ix))
        };
        let uses = Uses { age: true, ..Uses::default() };
        Some(Typed { ty, text, code: vec![ins], konst: None, literal: None, slot: None, uses })
    }

    /// `m matches 'pattern'`: all of the text, from its beginning to its end.
    pub(in crate::rules) fn matches(&mut self, m: &Expr, pattern: &Word) -> Option<Typed> {
        let left = self.check(m)?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{})\z", pattern.text)).size_limit(MAX_PATTERN).build();
        let regex = match regex {
            Ok(regex) => regex,
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let finding = Diagnostic::error("R077", format!("'{}' is not a pattern", pattern.text));
                self.report_at(finding, &pattern.span, reason);
                return None;
            }
        };
        let text = format!("{} matches '{}'", left.text, pattern.text);
        match (&left.ty, left.slot) {
            (Ty::Enum(values), _) => Some(self.matches_one_of(&values.clone(), left, &regex, text)),
            (Ty::Attr(name), _) => {
                let konst = Const::Matches { name: name.clone(), pattern: regex.as_str().into() };
                Some(self.constant(konst, Ty::Bool, Some(text)))
            }
            (Ty::Text, Some(slot)) => {
                let of = self.tables.program.slots[usize::from(slot)].signal?;
                let slot = self.tables.matching(of, slot, regex);
                let mut uses = left.uses;
                uses.slots.insert(slot);
                if !uses.events.is_empty() {
                    uses.events.insert(slot);
                }
                Some(Typed {
                    ty: Ty::Bool,
                    text,
                    code: vec![Ins::Slot(slot)],
                    konst: None,
                    literal: None,
                    slot: None,
                    uses,
                })
            }
            (ty, _) => {
                let found = ty.what();
                self.report(Diagnostic::error("R077", "only texts match a pattern"), m, found);
                None
            }
        }
    }

    /// Which values of an enumeration match is known when the rules are loaded.
    fn matches_one_of(&mut self, values: &[Arc<str>], left: Typed, regex: &Regex, text: String) -> Typed {
        let fitting = (0_u16..).zip(values).filter(|(_, v)| regex.is_match(v)).map(|(ix, _)| f64::from(ix));
        let mut code = Vec::new();
        // Unknown stays unknown, also if no value fits.
        let never = Ins::Const(self.const_ix(Const::Num(-1.0)));
        code.extend(left.code.iter().copied().chain([never, Ins::Eq]));
        for value in fitting {
            let value = Ins::Const(self.const_ix(Const::Num(value)));
            code.extend(left.code.iter().copied().chain([value, Ins::Eq, Ins::Or]));
        }
        Typed { ty: Ty::Bool, text, code, konst: None, literal: None, slot: None, uses: left.uses }
    }
}
