//! Once a day, for product engineering: all outcomes, anew, as `outcomes.csv` and `outcomes.jsonl` in the directory that
//! `[outcomes] dir` names.
//!
//! The desk thread writes a page between two of its rounds, so that a key press never waits for a report; each file takes
//! the place of the last one whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::desk::{Desk, OutcomeView};
use crate::domain::{At, CaseId};

/// Outcomes of one page.
const PAGE: usize = 500;
const NAMES: [&str; 2] = ["outcomes.csv", "outcomes.jsonl"];

/// The report, and how far it has come.
pub(super) struct Nightly {
    dir: PathBuf,
    /// The day, UTC, for which the last one was begun.
    day: Option<i64>,
    under_way: Option<Pages>,
}

struct Pages {
    files: [BufWriter<File>; 2],
    after: Option<CaseId>,
}

impl Nightly {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, day: None, under_way: None }
    }

    /// Begins when a day has begun, and writes the next page.
    pub(super) fn go_on(&mut self, desk: &Desk, now: At) {
        let day = now.as_secs().div_euclid(86_400);
        let new = self.day.replace(day) != Some(day);
        let begun = self.under_way.take().map(Ok).or_else(|| new.then(|| Pages::begin(&self.dir)));
        let Some(pages) = begun else { return };
        match pages.and_then(|pages| pages.write(desk, &self.dir)) {
            Ok(under_way) => self.under_way = under_way,
            Err(error) => {
                tracing::warn!(%error, dir = %self.dir.display(), "the outcomes of the day could not be written");
            }
        }
    }
}

fn beside(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.new"))
}

impl Pages {
    fn begin(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let open = |name| File::create(beside(dir, name)).map(BufWriter::new);
        let mut files = [open(NAMES[0])?, open(NAMES[1])?];
        files[0].write_all(OutcomeView::csv_head().as_bytes())?;
        Ok(Self { files, after: None })
    }

    /// Writes the next page; `None`: that was the last one, and the files are in their place.
    fn write(mut self, desk: &Desk, dir: &Path) -> io::Result<Option<Self>> {
        let page = desk.outcomes(At::MIN, self.after, PAGE);
        for outcome in &page {
            self.files[0].write_all(outcome.csv_line().as_bytes())?;
            writeln!(self.files[1], "{}", outcome.json_line())?;
        }
        if page.len() == PAGE {
            self.after = page.last().map(|outcome| outcome.case);
            return Ok(Some(self));
        }
        for (file, name) in self.files.into_iter().zip(NAMES) {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(beside(dir, name), dir.join(name))?;
        }
        Ok(None)
    }
}
