//! Files of a recording, merged into one stream in the order of time, with the marks of the clock between them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64_with_seed};

use super::columns::Plan;
use super::file::{Columns, Line, Lines, Publish, Row};
use super::journal::OF_NO_MODEL;
use super::{Entry, Error, Findings, Fleet, Kind, MARK_EVERY};
use crate::domain::{At, DeviceId, Span};
use crate::model::{Binding, ReadingValue, Topics};
use crate::source::Weight;

/// A file that is not in the order of time may be this large, decompressed, in bytes.
pub(super) const MAX_SORTED: usize = 1 << 30;
/// So many files of a folder are read at once.
pub(super) const MAX_FILES: usize = 500;

#[derive(Debug)]
pub(super) struct Merge {
    streams: Vec<Stream>,
    /// The times of the streams' current lines.
    heads: BinaryHeap<Reverse<(At, usize)>>,
    /// The stream whose line was given last: it moves on when the next one is asked for.
    given: Option<usize>,
    devices: Devices,
    topics: Topics,
    total: u64,
    marked: At,
    last_at: At,
}

impl Merge {
    pub(super) fn open(path: &Path, findings: &mut Findings) -> Result<Self, Error> {
        let mut streams = Vec::new();
        let mut total = 0;
        for file in files(path)? {
            match Stream::open(&file, findings) {
                Ok((lines, stream)) => {
                    total += lines;
                    streams.push(stream);
                }
                // Labels lie beside recordings.
                Err(Error::Columns { .. }) if path.is_dir() => {
                    let name = || file.display().to_string();
                    findings.add(Weight::Note, "files are left out, having no columns 'ts' and 'device'", 0, name);
                }
                Err(error) => return Err(error),
            }
        }
        let mut heads = BinaryHeap::new();
        for (ix, stream) in streams.iter_mut().enumerate() {
            heads.extend(stream.advance(findings)?.map(|at| Reverse((at, ix))));
        }
        if heads.is_empty() {
            return Err(Error::Empty { file: path.display().to_string() });
        }
        let (devices, topics) = (Devices::default(), Topics::default());
        Ok(Self { streams, heads, given: None, devices, topics, total, marked: At::MIN, last_at: At::MIN })
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn read(&mut self, fleet: &Fleet, findings: &mut Findings, entry: &mut Entry) -> Result<bool, Error> {
        loop {
            if let Some(ix) = self.given.take() {
                self.heads.pop();
                match self.streams[ix].advance(findings)? {
                    Some(at) => self.heads.push(Reverse((at, ix))),
                    None => self.streams[ix].note_columns(findings),
                }
            }
            let Some(Reverse((at, ix))) = self.heads.peek().copied() else {
                // Time runs on to the last message of all, and stops there.
                return Ok(self.marked < self.last_at && self.mark(self.last_at, entry));
            };
            // What was due before this message happens before it; what is due with it, the message decides.
            let just_before = at - Span::from_micros(1);
            if self.marked == At::MIN || just_before - self.marked >= MARK_EVERY {
                return Ok(self.mark(just_before, entry));
            }
            self.given = Some(ix);
            self.last_at = at;
            entry.at = at;
            let stream = &mut self.streams[ix];
            let known = match stream.rows.line() {
                Some(Line::Publish(publish)) => publish_of(&mut self.topics, fleet, findings, publish, entry),
                _ => self.devices.row(fleet, findings, stream, entry),
            };
            if known {
                return Ok(true);
            }
        }
    }

    fn mark(&mut self, at: At, entry: &mut Entry) -> bool {
        self.marked = at;
        entry.kind = Kind::Mark;
        entry.at = at;
        true
    }
}

fn publish_of(
    topics: &mut Topics,
    fleet: &Fleet,
    findings: &mut Findings,
    line: Publish<'_>,
    entry: &mut Entry,
) -> bool {
    let Some(binding) = topics.bind(&fleet.models, line.topic) else {
        findings.add(Weight::Warning, OF_NO_MODEL, line.line, || format!("line {}: {}", line.line, line.topic));
        return false;
    };
    entry.publish(binding, line.payload);
    entry.place = line.line;
    true
}

impl Entry {
    pub(super) fn publish(&mut self, binding: Arc<Binding>, payload: &[u8]) {
        self.kind = Kind::Publish;
        self.retained = false;
        self.binding = binding;
        self.payload.clear();
        self.payload.extend_from_slice(payload);
    }
}

/// One file in the order of time.
#[derive(Debug)]
struct Stream {
    file: String,
    rows: Rows,
    columns: Vec<(usize, String)>,
    /// By model.
    plans: Vec<Option<Plan>>,
}

#[derive(Debug)]
enum Rows {
    Open(Lines),
    Sorted { columns: Option<Columns>, kept: std::vec::IntoIter<Kept>, current: Kept },
}

/// A line that waits for its turn.
#[derive(Debug)]
enum Kept {
    Row { at: At, fields: csv::StringRecord },
    Publish { at: At, line: u64, topic: String, payload: Vec<u8> },
}

impl Kept {
    fn at(&self) -> At {
        match self {
            Self::Row { at, .. } | Self::Publish { at, .. } => *at,
        }
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Row { fields, .. } => 128 + fields.as_slice().len() + 8 * fields.len(),
            Self::Publish { topic, payload, .. } => 128 + topic.len() + payload.len(),
        }
    }
}

impl From<Line<'_>> for Kept {
    fn from(line: Line<'_>) -> Self {
        match line {
            Line::Row(row) => Self::Row { at: row.at, fields: row.fields.clone() },
            Line::Publish(Publish { line, at, topic, payload }) => {
                Self::Publish { at, line, topic: topic.to_owned(), payload: payload.to_owned() }
            }
        }
    }
}

impl Stream {
    /// Opens a file, and says how many lines it has.
    fn open(path: &Path, findings: &mut Findings) -> Result<(u64, Self), Error> {
        let mut lines = Lines::open(path)?;
        let columns = lines.columns().map(|c| c.signals().to_vec()).unwrap_or_default();
        let file = lines.file().to_owned();
        let (count, ordered) = survey(&mut lines)?;
        let lines = Lines::open(path)?;
        let rows = if ordered { Rows::Open(lines) } else { sorted(lines, findings)? };
        Ok((count, Self { file, rows, columns, plans: Vec::new() }))
    }

    /// Goes to the next line that can be used; its time, or `None` at the end.
    fn advance(&mut self, findings: &mut Findings) -> Result<Option<At>, Error> {
        let more = match &mut self.rows {
            Rows::Open(lines) => advance(lines, findings)?,
            Rows::Sorted { kept, current, .. } => kept.next().map(|next| *current = next).is_some(),
        };
        Ok(self.rows.line().filter(|_| more).map(|line| line.at()))
    }

    fn note_columns(&self, findings: &mut Findings) {
        let plans = || self.plans.iter().flatten();
        for (column, name) in &self.columns {
            if plans().next().is_some() && !plans().any(|plan| plan.reads(*column)) {
                let say = || format!("{name} ({})", self.file);
                findings.add(Weight::Note, "columns hold no signal of the model", 0, say);
            }
        }
    }
}

impl Rows {
    fn line(&self) -> Option<Line<'_>> {
        Some(match self {
            Self::Open(lines) => lines.line(),
            Self::Sorted { columns, current: Kept::Row { at, fields }, .. } => {
                Line::Row(columns.as_ref()?.row(*at, fields))
            }
            Self::Sorted { current: Kept::Publish { line, at, topic, payload }, .. } => {
                Line::Publish(Publish { line: *line, at: *at, topic, payload })
            }
        })
    }
}

/// How many lines there are, and whether they are in the order of time. Lines that cannot be used are left for later.
fn survey(lines: &mut Lines) -> Result<(u64, bool), Error> {
    let (mut count, mut newest, mut ordered) = (0, At::MIN, true);
    loop {
        match lines.advance() {
            Ok(true) => {
                let at = lines.line().at();
                ordered &= newest <= at;
                newest = at;
            }
            Ok(false) => return Ok((count, ordered)),
            Err(Error::Line { .. }) => {}
            Err(error) => return Err(error),
        }
        count += 1;
    }
}

/// All lines in the order of time; of one instant, in the order of the file.
fn sorted(mut lines: Lines, findings: &mut Findings) -> Result<Rows, Error> {
    let columns = lines.columns().cloned();
    let (mut kept, mut bytes) = (Vec::new(), 0);
    while advance(&mut lines, findings)? {
        let line = Kept::from(lines.line());
        bytes += line.bytes();
        if bytes > MAX_SORTED {
            return Err(Error::TooLarge { file: lines.file().to_owned() });
        }
        kept.push(line);
    }
    kept.sort_by_key(Kept::at);
    let current = Kept::Row { at: At::MIN, fields: csv::StringRecord::new() };
    Ok(Rows::Sorted { columns, kept: kept.into_iter(), current })
}

/// Goes to the next line that can be used.
fn advance(lines: &mut Lines, findings: &mut Findings) -> Result<bool, Error> {
    loop {
        match lines.advance() {
            Err(Error::Line { file, line, reason }) => {
                let say = || format!("{file}:{line}: {reason}");
                findings.add(Weight::Warning, "lines cannot be used and are passed over", line, say);
            }
            moved => return moved,
        }
    }
}

/// The devices of a recording and their models.
#[derive(Debug, Default)]
struct Devices(HashMap<Box<str>, Option<Arc<Binding>>, BuildHasherDefault<Xxh3Default>>);

impl Devices {
    fn binding(&mut self, fleet: &Fleet, findings: &mut Findings, row: &Row<'_>) -> Option<Arc<Binding>> {
        if let Some(known) = self.0.get(row.device) {
            return known.clone();
        }
        let binding =
            fleet.model_of(row.device).map(|model| Arc::new(Binding::plain(model, DeviceId::from(row.device))));
        if binding.is_some() && !fleet.registry.devices.contains_key(row.device) {
            let say = || format!("{} (line {})", row.device, row.line);
            findings.add(Weight::Note, "devices are not in the registry", row.line, say);
        }
        self.0.insert(row.device.into(), binding.clone());
        binding
    }

    /// Decodes a row. `false`: nobody knows what the device is.
    fn row(&mut self, fleet: &Fleet, findings: &mut Findings, stream: &mut Stream, entry: &mut Entry) -> bool {
        let Some(Line::Row(row)) = stream.rows.line() else { return false };
        let Some(binding) = self.binding(fleet, findings, &row) else {
            let say = || format!("{}:{}: {}", stream.file, row.line, row.device);
            findings.add(Weight::Warning, "rows are of devices whose model is not known", row.line, say);
            return false;
        };
        let model = &fleet.models.list[binding.model];
        if stream.plans.len() <= binding.model {
            stream.plans.resize_with(binding.model + 1, || None);
        }
        let plan = stream.plans[binding.model].get_or_insert_with(|| {
            let plan = Plan::new(model, &stream.columns);
            for signal in &plan.without {
                let say = || format!("{signal} ({})", stream.file);
                findings.add(Weight::Note, "signals of the model have no column", 0, say);
            }
            plan
        });
        entry.kind = Kind::Row;
        entry.retained = false;
        entry.place = row.line;
        entry.fingerprint = fingerprint(row.fields);
        entry.message.clear();
        entry.message.event_at = model.timestamp.is_some().then_some(row.at);
        plan.message(model, row.fields, &mut entry.message);
        for reading in &entry.message.readings {
            if let ReadingValue::Bad(reason) = reading.value {
                let signal = &model.signals[usize::from(reading.signal.0)].name;
                let say = || format!("{}:{}: {signal} is {}", stream.file, row.line, reason.as_str());
                findings.add(Weight::Note, "values cannot be used and are taken as unknown", row.line, say);
            }
        }
        entry.binding = binding;
        true
    }
}

/// The same for the same fields, and only then (nearly: 64 bits).
fn fingerprint(fields: &csv::StringRecord) -> u64 {
    let ends = fields.iter().fold(0_u64, |sum, field| sum.rotate_left(7) ^ field.len() as u64);
    xxh3_64_with_seed(fields.as_slice().as_bytes(), ends)
}

/// The files of a recording, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let name = || path.display().to_string();
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |source| Error::Read { file: name(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let named = file.file_name().and_then(|n| n.to_str()).unwrap_or("");
        let bare = [".gz", ".zst"].iter().find_map(|end| named.strip_suffix(end)).unwrap_or(named);
        if [".csv", ".jsonl", ".ndjson"].iter().any(|end| bare.ends_with(end)) && !bare.starts_with('.') {
            found.push(file);
        }
    }
    found.sort();
    match found.len() {
        0 => Err(Error::Empty { file: name() }),
        count if count > MAX_FILES => Err(Error::TooMany { file: name(), count }),
        _ => Ok(found),
    }
}
