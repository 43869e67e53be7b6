//! An explanation as a tree for people.

use std::fmt::Write as _;

use crate::domain::{Mode, Span};
use crate::engine::{LevelNow, Part, Wait, WrongClock};
use crate::http::Explained;

/// Longer expressions are cut in the tree; their parts stand below them.
const WIDTH: usize = 64;
/// So much of their end is left.
const END: usize = 16;

/// The sentences that decide, then every part with its value.
#[must_use]
pub fn render(explained: &Explained, colour: bool) -> String {
    let told = &explained.rule;
    let paint = Paint(colour);
    let mut out = String::new();
    let model = told.model.as_ref().map(|m| format!(" ({m})")).unwrap_or_default();
    let mode = match told.mode {
        Mode::Live => "",
        Mode::Shadow => ", in shadow",
        Mode::Off => ", off",
    };
    let part = told.component.as_ref().map(|c| format!(" {c}")).unwrap_or_default();
    let _ = writeln!(out, "{} on {}{part}{model}{mode}: {}", told.rule, told.device, paint.state(&told.state));
    let mut facts = Vec::new();
    facts.extend(told.at.map(|at| format!("device time {at}")));
    facts.extend(told.since_at.map(|at| format!("episode since {at}")));
    facts.extend(told.next_at.map(|at| format!("next at {at}")));
    if !facts.is_empty() {
        let _ = writeln!(out, "{}", facts.join(", "));
    }
    if let Some(clock) = &told.clock {
        let _ = writeln!(out, "{}", wrong(clock));
    }
    out.push('\n');
    for sentence in &told.why {
        let _ = writeln!(out, "{sentence}");
    }
    if !explained.desk.is_empty() {
        out.push_str("\non the desk\n");
    }
    for sentence in &explained.desk {
        let _ = writeln!(out, "{sentence}");
    }
    if let Some(filter) = &told.filter {
        out.push_str("\nwhere\n");
        branch(&mut out, paint, "", "", filter, true);
    }
    if !told.bars.is_empty() {
        out.push_str("\nhours, gates and limits\n");
    }
    for (i, bar) in told.bars.iter().enumerate() {
        branch(&mut out, paint, "", "", bar, i + 1 == told.bars.len());
    }
    for level in &told.levels {
        let _ = writeln!(out, "\n{}", head(level));
        let parts: Vec<(&str, &Part)> =
            level.when.iter().map(|p| ("when: ", p)).chain(level.clear.iter().map(|p| ("clear: ", p))).collect();
        for (i, (name, part)) in parts.iter().enumerate() {
            branch(&mut out, paint, "", name, part, i + 1 == parts.len());
        }
    }
    out
}

fn wrong(clock: &WrongClock) -> String {
    let mut facts = Vec::new();
    if clock.offset != Span::ZERO {
        let side = if clock.offset > Span::ZERO { "fast" } else { "slow" };
        facts.push(format!("its clock is {} {side}, which is taken off", seconds(clock.offset)));
    }
    if let Some((at, by)) = clock.newest {
        let (s, by) = (if clock.too_far == 1 { "" } else { "s" }, seconds(by));
        let last = format!("the last at {at}, by {by}");
        let many = format!("{} message{s}", clock.too_far);
        facts.push(format!("its time was too far ahead in {many}, and that of arrival was taken ({last})"));
    }
    facts.join("; ")
}

/// How much that is, to the second.
fn seconds(by: Span) -> Span {
    Span::from_secs(by.as_micros().abs() / 1_000_000)
}

fn head(level: &LevelNow) -> String {
    let severity = level.severity.as_str();
    let severity = if level.name == severity { String::new() } else { format!(" ({severity})") };
    let wait = level.wait.as_ref().map(waits).unwrap_or_default();
    format!("level {}{severity}: {}{wait}", level.name, level.phase)
}

fn waits(wait: &Wait) -> String {
    let mut parts = Vec::new();
    if wait.hold > Span::ZERO {
        parts.push(format!("held {} of {}", wait.held, wait.hold));
    }
    if wait.confirm > 1 {
        parts.push(format!("confirmed {} of {}", wait.confirmed, wait.confirm));
    }
    parts.extend(wait.paused.as_ref().map(|why| format!("paused: {why}")));
    if parts.is_empty() { String::new() } else { format!(", {}", parts.join(", ")) }
}

fn branch(out: &mut String, paint: Paint, indent: &str, name: &str, part: &Part, last: bool) {
    let (joint, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    let text = shortened(&part.text);
    // Where the whole stands is said once; below it, where else something comes from.
    let place = if !indent.is_empty() { String::new() } else { format!("  {}", part.place) };
    let note = if part.note.is_empty() { String::new() } else { format!("  [{}]", part.note) };
    let line =
        format!("{indent}{joint}{name}{text}  = {}{}", paint.value(&part.value), paint.dim(&format!("{note}{place}")));
    let _ = writeln!(out, "{line}");
    let indent = format!("{indent}{below}");
    for (i, child) in part.parts.iter().enumerate() {
        branch(out, paint, &indent, "", child, i + 1 == part.parts.len());
    }
}

/// On one line, and not too long for it: begin and end are what parts of one expression differ in.
fn shortened(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().count() <= WIDTH {
        return one_line;
    }
    let chars: Vec<char> = one_line.chars().collect();
    let (begin, end) = (&chars[..WIDTH - END - 1], &chars[chars.len() - END..]);
    [begin, &['…'], end].concat().into_iter().collect()
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: u8, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn dim(self, text: &str) -> String {
        self.with(2, text)
    }

    fn value(self, text: &str) -> String {
        match text {
            "true" => self.with(32, text),
            "false" => self.with(31, text),
            "unknown" => self.with(33, text),
            _ => self.with(36, text),
        }
    }

    fn state(self, text: &str) -> String {
        self.with(1, text)
    }
}
