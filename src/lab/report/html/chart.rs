//! What a rule compared around one episode or one missed failure: a panel for each left side, with its limits.

use serde::Serialize;

use super::scale::{Tick, TimeScale, ValueScale, instant, tenth};
use super::timeline::class;
use crate::domain::{At, Span};
use crate::lab::Episode;
use crate::lab::report::{EpisodeReport, Report, RuleReport};
use crate::lab::score::{Outcome, Verdict};
use crate::lab::trace::{Strand, Stretch};

/// So many pictures of a rule at most: false alarms, missed failures, late ones, early ones, those without a verdict.
const OF_EACH: [(Pick, usize); 5] = [
    (Pick::Verdict(Some(Verdict::False)), 6),
    (Pick::Missed, 6),
    (Pick::Verdict(Some(Verdict::Late)), 3),
    (Pick::Verdict(Some(Verdict::Early)), 3),
    (Pick::Verdict(None), 6),
];
/// So many pictures of all rules.
const MAX_PICTURES: usize = 48;
/// So many panels of one picture.
const MAX_PANELS: usize = 4;
/// So many messages are shown around what is of interest, at least; and after an episode that does not end.
const AROUND: i64 = 40;
const AFTER: i64 = 200;
/// Stretches of a line that are thinned to their extremes.
const COLUMNS: usize = 300;

const LEFT: f64 = 62.0;
const WIDTH: f64 = 620.0;
const PANEL: f64 = 104.0;
const GAP: f64 = 30.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pick {
    Verdict(Option<Verdict>),
    Missed,
}

/// One picture: what it is of, and what was traced for it.
#[derive(Debug)]
pub struct Picture {
    /// The episode; `None`: a failure that was missed.
    pub episode: Option<Episode>,
    /// What the episode was worth.
    pub verdict: Option<Verdict>,
    /// The failure, if there is one.
    pub outcome: Option<Outcome>,
    /// What is to be traced.
    pub stretch: Stretch,
    /// What was.
    pub strands: Vec<Strand>,
}

/// Chooses what to picture.
#[must_use]
pub fn pictures(report: &Report) -> Vec<Picture> {
    let recording = &report.recording;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let interval = Span::from_secs_f64(recording.device_days * 86_400.0 / recording.messages.max(1) as f64);
    let mut chosen = Vec::new();
    for rule in &report.rules {
        for (pick, most) in OF_EACH {
            match pick {
                Pick::Missed => {
                    let missed = rule.score.iter().flat_map(|s| &s.outcomes).filter(|o| o.lead.is_none());
                    chosen.extend(missed.take(most).map(|outcome| of_failure(rule, outcome, interval)));
                }
                Pick::Verdict(verdict) => {
                    let mine = report.episodes.iter().filter(|e| e.episode.rule == rule.rule && e.verdict == verdict);
                    chosen.extend(mine.take(most).map(|e| of_episode(rule, e, interval)));
                }
            }
        }
    }
    chosen.truncate(MAX_PICTURES);
    chosen
}

fn of_failure(rule: &RuleReport, outcome: &Outcome, interval: Span) -> Picture {
    let (from, to) = (instant(outcome.from.max(0.0)), instant(outcome.end));
    let (rule, device) = (rule.rule.clone(), outcome.device.clone());
    let stretch = Stretch { rule, device, component: None, ..around(from, to, interval) };
    Picture { episode: None, verdict: None, outcome: Some(outcome.clone()), stretch, strands: Vec::new() }
}

fn of_episode(rule: &RuleReport, report: &EpisodeReport, interval: Span) -> Picture {
    let EpisodeReport { episode: e, verdict } = report;
    let concerns =
        |o: &&Outcome| o.device == e.device && instant(o.from) <= e.raised_at && e.raised_at <= instant(o.end);
    let outcome = rule.score.iter().flat_map(|s| &s.outcomes).find(concerns);
    let mut to = e.ended_at.unwrap_or(At::MAX).min(e.raised_at + interval.times(AFTER));
    let mut from = e.started_at;
    if let Some(outcome) = outcome {
        from = from.min(instant(outcome.from));
        to = to.min(instant(outcome.end)).max(instant(outcome.failure));
    }
    let component = e.component.as_ref().map(ToString::to_string);
    let (rule, device) = (e.rule.clone(), e.device.clone());
    let stretch = Stretch { rule, device, component, ..around(from, to, interval) };
    Picture { episode: Some(e.clone()), verdict: *verdict, outcome: outcome.cloned(), stretch, strands: Vec::new() }
}

/// A stretch with some room on both sides; whose, is still to be said.
fn around(from: At, to: At, interval: Span) -> Stretch {
    let room = interval.times(AROUND).max(Span::from_micros((to - from).as_micros() / 8));
    Stretch { rule: "".into(), device: "".into(), component: None, from: from - room, to: to + room }
}

/// A picture as it is drawn.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    title: String,
    about: String,
    verdict: &'static str,
    word: &'static str,
    height: f64,
    ticks: Vec<Tick>,
    /// Place and width of the window before a failure, and of the episode.
    window: Option<(f64, f64)>,
    firing: Option<(f64, f64)>,
    /// Place, class and word.
    marks: Vec<(f64, &'static str, String)>,
    panels: Vec<Panel>,
}

#[derive(Debug, Serialize)]
struct Panel {
    label: String,
    top: f64,
    bottom: f64,
    ticks: Vec<Tick>,
    line: String,
    /// The path and what it is.
    limits: Vec<(String, String)>,
}

pub(super) fn chart(picture: &Picture) -> Chart {
    let Stretch { rule, device, from, to, .. } = &picture.stretch;
    // A recording ends somewhere, and so does the picture.
    let times = || picture.strands.iter().flat_map(|s| s.points.iter().map(|p| p.0));
    let failure = picture.outcome.as_ref().map(|o| instant(o.failure));
    let last = times().chain(failure).max().unwrap_or(*to).min(*to);
    let scale = TimeScale::new(times().min().unwrap_or(*from).max(*from), last, LEFT, WIDTH);
    let mut marks = Vec::new();
    let mut mark = |at: At, class, word: String| {
        if scale.holds(at) {
            marks.push((scale.x(at), class, word));
        }
    };
    let episode = picture.episode.as_ref();
    if let Some(at) = failure {
        mark(at, "failure", format!("failure {at}"));
    }
    if let Some(e) = episode {
        mark(e.raised_at, class(picture.verdict), format!("raised {}", e.raised_at));
    }
    let area = |a: At, b: At| (scale.x(a), tenth((scale.x(b) - scale.x(a)).max(1.0)));
    let panels = panels(&picture.strands, &scale);
    Chart {
        title: match (episode, &picture.outcome) {
            (Some(e), _) => e.title.clone(),
            (None, Some(o)) => format!("Nothing was said before {} ({})", o.fault, o.kind),
            (None, None) => String::new(),
        },
        about: about(picture, rule.as_str(), device.as_str()),
        verdict: if episode.is_none() { "missed" } else { class(picture.verdict) },
        word: word(picture),
        height: panels.last().map_or(40.0, |p| p.bottom) + 26.0,
        ticks: scale.ticks(),
        window: picture.outcome.as_ref().map(|o| area(instant(o.from), instant(o.failure))),
        firing: episode.map(|e| area(e.raised_at, e.ended_at.unwrap_or(At::MAX))),
        marks,
        panels,
    }
}

fn about(picture: &Picture, rule: &str, device: &str) -> String {
    let mut parts = vec![rule.to_owned(), device.to_owned()];
    if let Some(e) = &picture.episode {
        parts.extend(e.component.as_ref().map(ToString::to_string));
        parts.push(e.raised_at.to_string());
    }
    if let Some(lead) = picture.outcome.as_ref().and_then(|o| o.lead) {
        parts.push(format!("{} before the failure", crate::lab::report::text::length(lead)));
    }
    parts.join(" · ")
}

fn word(picture: &Picture) -> &'static str {
    match (&picture.episode, picture.verdict) {
        (None, _) => "missed",
        (_, None) => "",
        (_, Some(Verdict::Early)) => "in time",
        (_, Some(Verdict::Late)) => "late",
        (_, Some(Verdict::False)) => "false alarm",
        (_, Some(Verdict::Repeated | Verdict::Joined)) => "repeated",
        (_, Some(Verdict::Ignored | Verdict::Outside)) => "not counted",
    }
}

/// A panel for each left side.
fn panels(strands: &[Strand], scale: &TimeScale) -> Vec<Panel> {
    let mut groups: Vec<Vec<&Strand>> = Vec::new();
    for strand in strands {
        match groups.iter_mut().find(|group| group[0].left == strand.left) {
            Some(group) => group.push(strand),
            None => groups.push(vec![strand]),
        }
    }
    groups.truncate(MAX_PANELS);
    let mut top = 26.0;
    let mut panels = Vec::new();
    for group in groups {
        let lefts = group[0].points.iter().map(|p| p.1);
        let values = ValueScale::new(lefts.chain(group.iter().flat_map(|s| s.points.iter().map(|p| p.2))), top, PANEL);
        let left: Vec<(At, f64)> = group[0].points.iter().map(|p| (p.0, p.1)).collect();
        let limit = |s: &&Strand| {
            let right: Vec<(At, f64)> = s.points.iter().map(|p| (p.0, p.2)).collect();
            (path(&right, scale, &values), s.text.clone())
        };
        let unit = &group[0].unit;
        panels.push(Panel {
            label: if unit.is_empty() { group[0].left.clone() } else { format!("{} [{unit}]", group[0].left) },
            top,
            bottom: top + PANEL,
            ticks: values.ticks(),
            line: path(&left, scale, &values),
            limits: group.iter().map(limit).collect(),
        });
        top += PANEL + GAP;
    }
    panels
}

/// An SVG path; what is unknown leaves a gap.
fn path(points: &[(At, f64)], scale: &TimeScale, values: &ValueScale) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (at, value) in thinned(points) {
        if value.is_nan() {
            pen_down = false;
            continue;
        }
        let letter = if pen_down { 'L' } else { 'M' };
        path.push_str(&format!("{letter}{} {}", scale.x(at), values.y(value)));
        pen_down = true;
    }
    path
}

/// Of each stretch first, lowest, highest and last: nothing that stands out is lost.
fn thinned(points: &[(At, f64)]) -> Vec<(At, f64)> {
    if points.len() <= 4 * COLUMNS {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for chunk in points.chunks(points.len().div_ceil(COLUMNS)) {
        let by = |a: &&(At, f64), b: &&(At, f64)| a.1.total_cmp(&b.1);
        let known = || chunk.iter().filter(|p| !p.1.is_nan());
        let mut four: Vec<(At, f64)> = chunk
            .first()
            .into_iter()
            .chain(known().min_by(by))
            .chain(known().max_by(by))
            .chain(chunk.last())
            .copied()
            .collect();
        four.sort_by_key(|p| p.0);
        four.dedup_by_key(|p| p.0);
        kept.extend(four);
    }
    kept
}
