//! A report as one page that needs nothing else: tables, a time line of failures and alerts for each device, and what the
//! rules compared around single episodes.

mod chart;
mod scale;
mod timeline;

use minijinja::value::Serde;
use minijinja::{Environment, context};

use super::text::{EPISODES, SCORE, difference, episodes_row, said, score_row, thousands};
use super::{Known, Report};
use crate::domain::Mode;
pub use chart::{Picture, pictures};

/// Why the page cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the page cannot be made: {0}")]
pub struct PageError(#[from] minijinja::Error);

const PAGE: &str = include_str!("page.html");

/// The page. `pictures` are those that [`pictures`] chose, with what was traced for them.
///
/// # Errors
/// A defect of the template.
pub fn page(report: &Report, known: Option<&Known>, name: &str, pictures: &[Picture]) -> Result<String, PageError> {
    let mut env = Environment::new();
    env.add_template("page.html", PAGE)?;
    let scored = report.rules.iter().filter_map(|r| Some(score_row(r.rule.as_str(), r.score.as_ref()?, r.promise)));
    let live = report.rules.iter().filter(|r| r.mode == Mode::Live).count();
    let total = report.total.as_ref().filter(|_| live > 1).map(|total| score_row("all live", total, None));
    let scores: Vec<_> = scored.chain(total).collect();
    let recording = &report.recording;
    let page = context! {
        name,
        messages => thousands(recording.messages),
        values => thousands(recording.values),
        devices => thousands(recording.devices as u64),
        from => scale::day(recording.first_at),
        to => scale::day(recording.last_at),
        said => report.terms.as_ref().map(said),
        score_header => SCORE,
        scores,
        episodes_header => EPISODES,
        episodes => report.rules.iter().map(episodes_row).collect::<Vec<_>>(),
        kinds => report.rules.iter().filter(|r| !r.kinds.is_empty())
            .map(|r| format!("{}: failures of kind {} alone", r.rule, r.kinds.join(", "))).collect::<Vec<_>>(),
        timeline => Serde(timeline::timeline(report, known)),
        charts => Serde(pictures.iter().map(chart::chart).collect::<Vec<_>>()),
        not_shown => report.episodes.len().saturating_sub(pictures.iter().filter(|p| p.episode.is_some()).count()),
        differences => report.against.as_ref().map(|d| d.rules.iter().map(difference).collect::<Vec<_>>()),
        same => report.against.as_ref().map(|d| d.same),
        findings => report.findings.list().iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    Ok(env.get_template("page.html")?.render(page)?)
}
