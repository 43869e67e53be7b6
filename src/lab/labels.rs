//! What is known of a recording: `truth.csv` (`device,kind,failure,end`, and `fault`, its name) says what failed and when,
//! `exposure.csv` (`device,start,end`, and `split`) when each device was watched. Other columns are for people.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::recording::Error;
use super::score::{Fault, seconds};
use crate::domain::{At, DeviceId};

/// Reads what failed.
///
/// # Errors
/// It cannot be read, a column is missing, or a line is wrong.
pub fn truth(path: &Path) -> Result<BTreeMap<DeviceId, Vec<Fault>>, Error> {
    read_truth(&path.display().to_string(), open(path)?)
}

/// Reads when each device was watched; with `split`, only the lines that have it.
///
/// # Errors
/// It cannot be read, a column is missing, or a line is wrong.
pub fn exposure(path: &Path, split: Option<&str>) -> Result<BTreeMap<DeviceId, Vec<(f64, f64)>>, Error> {
    read_exposure(&path.display().to_string(), open(path)?, split)
}

fn open(path: &Path) -> Result<BufReader<File>, Error> {
    let unreadable = |source| Error::Read { file: path.display().to_string(), source };
    File::open(path).map(BufReader::new).map_err(unreadable)
}

pub(super) fn read_truth(file: &str, input: impl Read) -> Result<BTreeMap<DeviceId, Vec<Fault>>, Error> {
    let mut table = Table::new(file, input, &["device", "kind", "failure", "end"])?;
    let mut faults: BTreeMap<DeviceId, Vec<Fault>> = BTreeMap::new();
    while table.advance()? {
        let (failure, end) = (table.time("failure")?, table.time("end")?);
        let fault = Fault { failure, end, kind: table.text("kind").to_owned(), id: table.text("fault").to_owned() };
        faults.entry(table.text("device").into()).or_default().push(fault);
    }
    Ok(faults)
}

pub(super) fn read_exposure(
    file: &str,
    input: impl Read,
    split: Option<&str>,
) -> Result<BTreeMap<DeviceId, Vec<(f64, f64)>>, Error> {
    let columns: &[&str] =
        if split.is_some() { &["device", "start", "end", "split"] } else { &["device", "start", "end"] };
    let mut table = Table::new(file, input, columns)?;
    let mut exposure: BTreeMap<DeviceId, Vec<(f64, f64)>> = BTreeMap::new();
    while table.advance()? {
        if split.is_none_or(|split| table.text("split") == split) {
            let span = (table.time("start")?, table.time("end")?);
            exposure.entry(table.text("device").into()).or_default().push(span);
        }
    }
    Ok(exposure)
}

/// A CSV file whose fields are named.
struct Table<R> {
    file: String,
    reader: csv::Reader<R>,
    header: csv::StringRecord,
    row: csv::StringRecord,
}

impl<R: Read> Table<R> {
    fn new(file: &str, input: R, needed: &[&str]) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
        let wrong = |reason: String| Error::Columns { file: file.to_owned(), reason };
        let header = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
        if let Some(absent) = needed.iter().find(|name| !header.iter().any(|h| h == **name)) {
            return Err(wrong(format!("no column '{absent}'; the first line must name {}", needed.join(","))));
        }
        Ok(Self { file: file.to_owned(), reader, header, row: csv::StringRecord::new() })
    }

    fn advance(&mut self) -> Result<bool, Error> {
        self.reader.read_record(&mut self.row).map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            Error::Line { file: self.file.clone(), line, reason: error.to_string() }
        })
    }

    /// The field, empty if there is no such column.
    fn text(&self, column: &str) -> &str {
        self.header.iter().position(|h| h == column).and_then(|at| self.row.get(at)).unwrap_or_default()
    }

    fn time(&self, column: &str) -> Result<f64, Error> {
        let text = self.text(column);
        text.parse::<At>().map(seconds).map_err(|_| {
            let line = self.row.position().map_or(1, csv::Position::line);
            let reason = format!("{column} '{text}' is not a time such as 2020-01-01T00:01:00");
            Error::Line { file: self.file.clone(), line, reason }
        })
    }
}
