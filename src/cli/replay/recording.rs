//! Recordings: CSV with one row a message, or JSON lines, plain or compressed. What a file is, its first bytes say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::str::FromStr;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::At;

/// Longest line of a recording.
const MAX_LINE: u64 = 16 << 20;

/// What is wrong with a recording, and where.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read {file}: {source}")]
    Read { file: String, source: io::Error },
    #[error("{file}:{line}: {reason}")]
    Line { file: String, line: u64, reason: String },
    #[error("{file} holds no message")]
    Empty { file: String },
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Where it is in the file, from 1.
    pub(super) line: u64,
    pub(super) at: At,
    pub(super) topic: String,
    pub(super) payload: Bytes,
}

/// A recording as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) messages: u64,
    pub(super) first_at: At,
    pub(super) last_at: At,
}

/// A topic with `{device}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    fn topic(&self, device: &str) -> String {
        self.0.replace("{device}", device)
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.replace("{device}", "");
        if !text.contains("{device}") || rest.contains(['{', '}', '+', '#', '\0']) {
            return Err("a topic name with {device} in it and no other braces, '+' or '#'".into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// Reads the whole recording once, so that a mistake in row 100,000 is found before row 1 is published.
pub(super) fn check(path: &Path, template: &Template, limit: Option<u64>) -> Result<Summary, Error> {
    let limit = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let mut summary: Option<Summary> = None;
    for record in Recording::open(path, template)?.take(limit) {
        let at = record?.at;
        let known = summary.get_or_insert(Summary { messages: 0, first_at: at, last_at: at });
        known.messages += 1;
        known.last_at = known.last_at.max(at);
    }
    summary.ok_or_else(|| Error::Empty { file: path.display().to_string() })
}

/// An open recording: an iterator over its messages, in the order of the file.
pub(super) struct Recording {
    file: String,
    lines: Lines,
}

enum Lines {
    Csv(Box<Csv>),
    Json { input: Box<dyn BufRead + Send>, line: u64, buffer: Vec<u8> },
}

struct Csv {
    reader: csv::Reader<Box<dyn BufRead + Send>>,
    columns: Columns,
    template: Template,
    row: csv::StringRecord,
}

/// What each column is.
#[derive(Debug, PartialEq, Eq)]
struct Columns {
    ts: usize,
    device: usize,
    /// Position and `,"name":`.
    signals: Vec<(usize, String)>,
}

impl Recording {
    pub(super) fn open(path: &Path, template: &Template) -> Result<Self, Error> {
        let file = path.display().to_string();
        let unreadable = |source| Error::Read { file: file.clone(), source };
        let mut input = decompressed(path).map_err(unreadable)?;
        let json = input.fill_buf().map_err(unreadable)?.trim_ascii_start().starts_with(b"{");
        let lines = if json {
            Lines::Json { input, line: 0, buffer: Vec::new() }
        } else {
            let mut reader = csv::ReaderBuilder::new().from_reader(input);
            let header = reader.headers().map_err(|e| broken(&file, &e))?;
            let columns = columns(header).map_err(|reason| Error::Line { file: file.clone(), line: 1, reason })?;
            Lines::Csv(Box::new(Csv { reader, columns, template: template.clone(), row: csv::StringRecord::new() }))
        };
        Ok(Self { file, lines })
    }
}

impl Iterator for Recording {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.lines {
            Lines::Csv(csv) => csv.next(&self.file),
            Lines::Json { input, line, buffer } => next_json(&self.file, input, line, buffer),
        }
    }
}

impl Csv {
    fn next(&mut self, file: &str) -> Option<Result<Record, Error>> {
        match self.reader.read_record(&mut self.row) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => return Some(Err(broken(file, &error))),
        }
        let line = self.row.position().map_or(0, csv::Position::line);
        let record = self.columns.record(&self.row, &self.template, line);
        Some(record.map_err(|reason| Error::Line { file: file.to_owned(), line, reason }))
    }
}

fn columns(header: &csv::StringRecord) -> Result<Columns, String> {
    let expected = "the first line must name the columns: ts,device and one for each signal";
    let position = |name: &str| {
        let found = header.iter().position(|h| h == name);
        found.ok_or_else(|| format!("no column '{name}'; {expected}"))
    };
    let (ts, device) = (position("ts")?, position("device")?);
    let mut signals = Vec::new();
    for (i, name) in header.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("column {} has no name; {expected}", i + 1));
        }
        if header.iter().take(i).any(|h| h == name) {
            return Err(format!("two columns are named '{name}'"));
        }
        if i != ts && i != device {
            signals.push((i, format!(",{}:", serde_json::Value::from(name))));
        }
    }
    Ok(Columns { ts, device, signals })
}

impl Columns {
    fn record(&self, row: &csv::StringRecord, template: &Template, line: u64) -> Result<Record, String> {
        let (ts, device) = (&row[self.ts], &row[self.device]);
        let at = ts.parse::<At>().map_err(|_| format!("ts '{ts}' is not a time such as 2020-01-01T00:01:00"))?;
        if device.is_empty() || device.contains(['/', '+', '#', '\0']) {
            return Err(format!("device '{device}' cannot be a level of a topic"));
        }
        let mut json = String::with_capacity(32 + 16 * self.signals.len());
        json.push_str("{\"ts\":");
        json.push_str(&serde_json::Value::from(with_offset(ts)).to_string());
        for (i, key) in &self.signals {
            let field = &row[*i];
            if !field.is_empty() {
                json.push_str(key);
                push_value(&mut json, field);
            }
        }
        json.push('}');
        Ok(Record { line, at, topic: template.topic(device), payload: json.into() })
    }
}

/// The time as given, marked as UTC if it names no offset.
fn with_offset(ts: &str) -> String {
    let named = ts.parse::<jiff::Timestamp>().is_ok();
    if named { ts.to_owned() } else { format!("{ts}Z") }
}

/// Numbers stay as they were written, digit for digit, so that the receiver reads the very same f64.
fn push_value(json: &mut String, field: &str) {
    if is_json_number(field) || matches!(field, "true" | "false") {
        json.push_str(field);
    } else {
        json.push_str(&serde_json::Value::from(field).to_string());
    }
}

/// Whether a text is a number by the grammar of JSON: `-0.5`, `1e-3`; not `.5`, `+1`, `007`, `NaN`.
fn is_json_number(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

/// A line of a JSON recording; other members are for other tools.
#[derive(Deserialize)]
struct JsonLine<'a> {
    at: At,
    topic: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

fn next_json(
    file: &str,
    input: &mut Box<dyn BufRead + Send>,
    line: &mut u64,
    buffer: &mut Vec<u8>,
) -> Option<Result<Record, Error>> {
    loop {
        buffer.clear();
        *line += 1;
        let wrong = |reason: String| Some(Err(Error::Line { file: file.to_owned(), line: *line, reason }));
        match input.by_ref().take(MAX_LINE).read_until(b'\n', buffer) {
            Err(error) => return wrong(format!("cannot be read: {error}")),
            Ok(0) => return None,
            Ok(n) if n as u64 == MAX_LINE => return wrong(format!("longer than {MAX_LINE} bytes")),
            Ok(_) if buffer.trim_ascii().is_empty() => {}
            Ok(_) => {
                return match json_record(buffer, *line) {
                    Ok(record) => Some(Ok(record)),
                    Err(reason) => wrong(reason),
                };
            }
        }
    }
}

fn json_record(text: &[u8], line: u64) -> Result<Record, String> {
    let parsed: JsonLine<'_> = serde_json::from_slice(text).map_err(|e| {
        let column = e.column();
        format!("not a line of {{\"at\", \"topic\", \"payload\"}}: {e} (column {column})")
    })?;
    if parsed.topic.is_empty() || parsed.topic.contains(['+', '#', '\0']) {
        return Err(format!("'{}' is not a topic name", parsed.topic));
    }
    let raw = parsed.payload.get();
    // A text stands for its bytes: so payloads that are not JSON can be recorded too.
    let payload = if raw.starts_with('"') {
        serde_json::from_str::<String>(raw).map_err(|e| e.to_string())?
    } else {
        raw.to_owned()
    };
    Ok(Record { line, at: parsed.at, topic: parsed.topic, payload: payload.into() })
}

fn decompressed(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::new(File::open(path)?);
    let head = file.fill_buf()?;
    Ok(if head.starts_with(&[0x1F, 0x8B]) {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else if head.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(file)?))
    } else {
        Box::new(file)
    })
}

fn broken(file: &str, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, but the first line names {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".into(),
        csv::ErrorKind::Io(error) => format!("cannot be read: {error}"),
        _ => error.to_string(),
    };
    Error::Line { file: file.to_owned(), line, reason }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn template() -> Template {
        "fleet/{device}/telemetry".parse().unwrap()
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn read(bytes: &[u8]) -> Result<Vec<(u64, String, String)>, String> {
        let file = file(bytes);
        let name = file.path().display().to_string();
        let short = |e: Error| e.to_string().replace(&name, "rec");
        let records = Recording::open(file.path(), &template()).map_err(short)?;
        records
            .map(|r| r.map(|r| (r.line, r.topic, String::from_utf8(r.payload.to_vec()).unwrap())).map_err(short))
            .collect()
    }

    #[test]
    fn rows_become_messages_with_their_numbers_untouched() {
        let csv = b"ts,device,type,rpm,x\n\
            2020-01-01T00:01:00,mill-1,M,1551.10,\n\
            2020-01-01T00:02:00+01:00,mill-2,\"a \"\"b\"\"\",-0.0007,1e-05\n\
            2020-01-01T00:03:00Z,mill-1,007,.5,true\n";
        let expected = [
            (2, "mill-1", r#"{"ts":"2020-01-01T00:01:00Z","type":"M","rpm":1551.10}"#),
            (3, "mill-2", r#"{"ts":"2020-01-01T00:02:00+01:00","type":"a \"b\"","rpm":-0.0007,"x":1e-05}"#),
            (4, "mill-1", r#"{"ts":"2020-01-01T00:03:00Z","type":"007","rpm":".5","x":true}"#),
        ];
        let got = read(csv).unwrap();
        assert_eq!(got, expected.map(|(l, d, p)| (l, format!("fleet/{d}/telemetry"), p.to_owned())));
    }

    #[test]
    fn json_lines_are_published_as_they_are() {
        let text = br#"{"at":"2020-01-01T00:00:00Z","topic":"a/b","payload":{"x": 1.10, "y":[1e2]}}

{"at":"2020-01-01T00:00:01Z","topic":"a/c","payload":"on\n","qos":1}
"#;
        let got = read(text).unwrap();
        assert_eq!(got[0], (1, "a/b".into(), r#"{"x": 1.10, "y":[1e2]}"#.into()));
        assert_eq!(got[1], (3, "a/c".into(), "on\n".into()));
    }

    #[test]
    fn compression_is_seen_in_the_bytes_not_in_the_name() {
        let csv = b"ts,device,x\n2020-01-01T00:00:00,a,1\n";
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(csv).unwrap();
        let plain = read(csv).unwrap();
        assert_eq!(read(&gz.finish().unwrap()).unwrap(), plain);
        assert_eq!(read(&zstd::encode_all(&csv[..], 3).unwrap()).unwrap(), plain);
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        let cases: [(&[u8], &str); 10] = [
            (b"time,device,x\n", "rec:1: no column 'ts'"),
            (b"ts,device,x,x\n", "rec:1: two columns are named 'x'"),
            (b"ts,device,\n", "rec:1: column 3 has no name"),
            (b"ts,device,x\n2020-01-01T00:00:00,a,1\n2020-01-01T00:00:01,a\n", "rec:3: 2 fields, but"),
            (b"ts,device,x\nyesterday,a,1\n", "rec:2: ts 'yesterday' is not a time"),
            (b"ts,device,x\n2020-01-01T00:00:00,a/b,1\n", "rec:2: device 'a/b' cannot"),
            (b"ts,device,x\n2020-01-01T00:00:00,,1\n", "rec:2: device '' cannot"),
            (b"ts,device,x\n2020-01-01T00:00:00,a,\xFF\n", "rec:2: not UTF-8"),
            (b"{\"at\":\"2020-01-01T00:00:00Z\",\"topic\":\"a\"}\n", "rec:1: not a line of"),
            (b"{\"at\":\"2020-01-01T00:00:00Z\",\"topic\":\"a/#\",\"payload\":1}\n", "rec:1: 'a/#' is not a topic"),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes).unwrap_err();
            assert!(error.starts_with(expected), "{error}\nexpected {expected}");
        }
        let truncated = zstd::encode_all(&b"ts,device\n2020-01-01T00:00:00,a\n"[..], 3).unwrap();
        assert!(read(&truncated[..truncated.len() - 6]).is_err());
    }

    #[test]
    fn a_summary_counts_and_spans() {
        let csv = file(b"ts,device,x\n2020-01-01T00:00:00,a,1\n2020-01-01T00:02:00,a,1\n2020-01-01T00:01:00,b,1\n");
        let summary = check(csv.path(), &template(), None).unwrap();
        assert_eq!(summary.messages, 3);
        assert_eq!(summary.last_at.since(summary.first_at).to_string(), "2m");
        assert_eq!(check(csv.path(), &template(), Some(1)).unwrap().messages, 1);
        let none = file(b"ts,device,x\n");
        assert!(matches!(check(none.path(), &template(), None), Err(Error::Empty { .. })));
    }

    #[test]
    fn numbers_are_those_of_json() {
        for yes in ["0", "-0.5", "12", "1.0", "1e5", "1E-5", "1.5e+10", "-1"] {
            assert!(is_json_number(yes) && serde_json::from_str::<f64>(yes).is_ok(), "{yes}");
        }
        for no in ["", "-", ".5", "5.", "+1", "007", "1e", "NaN", "inf", "0x1", "1 ", "1_000", "--1", "1.2.3"] {
            assert!(!is_json_number(no), "{no}");
        }
    }

    #[test]
    fn templates_name_the_device_and_nothing_else() {
        for bad in ["fleet/telemetry", "fleet/{device}/{x}", "fleet/+/{device}", "#{device}"] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
        assert_eq!("a/{device}".parse::<Template>().unwrap().topic("d"), "a/d");
    }
}
