//! One file of a recording, line by line as it stands there: CSV with one row a message, or JSON lines; plain, gzip or
//! zstd. What a file is, its first bytes say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use crate::domain::At;

/// Longest line of a recording, in bytes.
const MAX_LINE: u64 = 16 << 20;
/// What is read from the disk at once, in bytes.
const BLOCK: usize = 1 << 16;

/// An open file of a recording.
#[derive(Debug)]
pub struct Lines {
    file: String,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Csv(Box<Csv>),
    Json(Json),
}

/// One line.
#[derive(Debug)]
pub enum Line<'a> {
    /// A row of a CSV file.
    Row(Row<'a>),
    /// A publish as it was, of a file of JSON lines.
    Publish(Publish<'a>),
}

/// A row of a CSV file.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Where it is in the file, from 1.
    pub line: u64,
    /// Its time.
    pub at: At,
    /// Its time as it is written.
    pub ts: &'a str,
    /// Whose it is: not empty, and fit to be a level of a topic.
    pub device: &'a str,
    /// All fields, in the order of the columns.
    pub fields: &'a csv::StringRecord,
}

/// A line of a JSON recording.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// Where it is in the file, from 1.
    pub line: u64,
    /// When it was received.
    pub at: At,
    /// A topic name.
    pub topic: &'a str,
    /// What was published.
    pub payload: &'a [u8],
}

impl Line<'_> {
    /// When it was received; of a row, its own time.
    #[must_use]
    pub fn at(&self) -> At {
        match self {
            Self::Row(row) => row.at,
            Self::Publish(publish) => publish.at,
        }
    }
}

impl Lines {
    /// Opens a file and reads the names of its columns.
    ///
    /// # Errors
    /// It cannot be read, or its first line does not name the columns of a recording.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let unreadable = |source| Error::Read { file: file.clone(), source };
        let mut input = decompressed(path).map_err(unreadable)?;
        let json = input.fill_buf().map_err(unreadable)?.trim_ascii_start().starts_with(b"{");
        let format =
            if json { Format::Json(Json::new(input)) } else { Format::Csv(Box::new(Csv::open(&file, input)?)) };
        Ok(Self { file, format })
    }

    /// The file as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The columns of a CSV file.
    #[must_use]
    pub fn columns(&self) -> Option<&Columns> {
        match &self.format {
            Format::Csv(csv) => Some(&csv.columns),
            Format::Json(_) => None,
        }
    }

    /// Goes to the next line; `false` at the end.
    ///
    /// # Errors
    /// [`Error::Line`]: this line cannot be used, and one can go on to the next. Anything else is the end.
    pub fn advance(&mut self) -> Result<bool, Error> {
        match &mut self.format {
            Format::Csv(csv) => csv.advance(&self.file),
            Format::Json(json) => json.advance(&self.file),
        }
    }

    /// The line that [`Self::advance`] went to.
    #[must_use]
    pub fn line(&self) -> Line<'_> {
        match &self.format {
            Format::Csv(csv) => Line::Row(csv.columns.row(csv.at, &csv.fields)),
            Format::Json(json) => {
                let Json { line, at, topic, payload, .. } = json;
                Line::Publish(Publish { line: *line, at: *at, topic, payload })
            }
        }
    }
}

/// What each column of a CSV file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    ts: usize,
    device: usize,
    signals: Vec<(usize, String)>,
}

impl Columns {
    /// Position and name of each column that is neither `ts` nor `device`.
    #[must_use]
    pub fn signals(&self) -> &[(usize, String)] {
        &self.signals
    }

    /// A row of a file with these columns, which was read at `at`.
    pub(super) fn row<'a>(&self, at: At, fields: &'a csv::StringRecord) -> Row<'a> {
        let line = fields.position().map_or(0, csv::Position::line);
        let field = |column| fields.get(column).unwrap_or_default();
        Row { line, at, ts: field(self.ts), device: field(self.device), fields }
    }

    fn of(header: &csv::StringRecord) -> Result<Self, String> {
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
                signals.push((i, name.to_owned()));
            }
        }
        Ok(Self { ts, device, signals })
    }
}

#[derive(Debug)]
struct Csv {
    reader: csv::Reader<Input>,
    columns: Columns,
    fields: csv::StringRecord,
    at: At,
    /// The text of `at`: rows of one instant stand together.
    ts: String,
}

impl Csv {
    fn open(file: &str, input: Input) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(BLOCK).from_reader(input);
        let header = reader.headers().map_err(|e| broken(file, &e))?;
        let columns = Columns::of(header).map_err(|reason| Error::Columns { file: file.to_owned(), reason })?;
        Ok(Self { reader, columns, fields: csv::StringRecord::new(), at: At::default(), ts: String::new() })
    }

    fn advance(&mut self, file: &str) -> Result<bool, Error> {
        if !self.reader.read_record(&mut self.fields).map_err(|e| broken(file, &e))? {
            return Ok(false);
        }
        let line = || self.fields.position().map_or(0, csv::Position::line);
        let wrong = |reason| Error::Line { file: file.to_owned(), line: line(), reason };
        let (ts, device) = (&self.fields[self.columns.ts], &self.fields[self.columns.device]);
        if ts != self.ts {
            let read = ts.parse().map_err(|_| format!("ts '{ts}' is not a time such as 2020-01-01T00:01:00"));
            self.at = read.map_err(wrong)?;
            self.ts.clear();
            self.ts.push_str(ts);
        }
        if device.is_empty() || device.contains(['/', '+', '#', '\0']) {
            return Err(wrong(format!("device '{device}' cannot be a level of a topic")));
        }
        Ok(true)
    }
}

#[derive(Debug)]
struct Json {
    input: Input,
    buffer: Vec<u8>,
    line: u64,
    at: At,
    topic: String,
    payload: Vec<u8>,
}

/// A line as it is written; other members are for other tools.
#[derive(Deserialize)]
struct JsonLine<'a> {
    at: At,
    topic: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Json {
    fn new(input: Input) -> Self {
        Self { input, buffer: Vec::new(), line: 0, at: At::default(), topic: String::new(), payload: Vec::new() }
    }

    fn advance(&mut self, file: &str) -> Result<bool, Error> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let unreadable = |source| Error::Read { file: file.to_owned(), source };
            let n = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.buffer).map_err(unreadable)?;
            if n == 0 {
                return Ok(false);
            }
            if n as u64 == MAX_LINE {
                return Err(unreadable(io::Error::other(format!(
                    "line {} is longer than {MAX_LINE} bytes",
                    self.line
                ))));
            }
            if !self.buffer.trim_ascii().is_empty() {
                let (file, line) = (file.to_owned(), self.line);
                return self.parse().map(|()| true).map_err(|reason| Error::Line { file, line, reason });
            }
        }
    }

    fn parse(&mut self) -> Result<(), String> {
        let parsed: JsonLine<'_> = serde_json::from_slice(&self.buffer).map_err(|e| {
            let column = e.column();
            format!("not a line of {{\"at\", \"topic\", \"payload\"}}: {e} (column {column})")
        })?;
        if parsed.topic.is_empty() || parsed.topic.contains(['+', '#', '\0']) {
            return Err(format!("'{}' is not a topic name", parsed.topic));
        }
        let raw = parsed.payload.get();
        self.payload.clear();
        // A text stands for its bytes: so payloads that are not JSON can be recorded too.
        if raw.starts_with('"') {
            let text: String = serde_json::from_str(raw).map_err(|e| e.to_string())?;
            self.payload.extend_from_slice(text.as_bytes());
        } else {
            self.payload.extend_from_slice(raw.as_bytes());
        }
        self.topic = parsed.topic;
        self.at = parsed.at;
        Ok(())
    }
}

/// The bytes of a file, decompressed.
struct Input(Box<dyn BufRead + Send>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

fn decompressed(path: &Path) -> io::Result<Input> {
    let mut file = BufReader::with_capacity(BLOCK, File::open(path)?);
    let head = file.fill_buf()?;
    Ok(Input(if head.starts_with(&[0x1F, 0x8B]) {
        Box::new(BufReader::with_capacity(BLOCK, MultiGzDecoder::new(file)))
    } else if head.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        Box::new(BufReader::with_capacity(BLOCK, zstd::stream::read::Decoder::with_buffer(file)?))
    } else {
        Box::new(file)
    }))
}

fn broken(file: &str, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, but the first line names {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".into(),
        csv::ErrorKind::Io(error) => {
            let source = io::Error::new(error.kind(), error.to_string());
            return Error::Read { file: file.to_owned(), source };
        }
        _ => error.to_string(),
    };
    Error::Line { file: file.to_owned(), line, reason }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u64, String, String)>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let name = file.path().display().to_string();
        let short = |e: Error| e.to_string().replace(&name, "rec");
        let mut lines = Lines::open(file.path()).map_err(short)?;
        let mut found = Vec::new();
        while lines.advance().map_err(short)? {
            found.push(match lines.line() {
                Line::Row(row) => {
                    (row.line, row.device.to_owned(), format!("{} {:?}", row.at, row.fields.iter().collect::<Vec<_>>()))
                }
                Line::Publish(p) => {
                    (p.line, p.topic.to_owned(), format!("{} {}", p.at, String::from_utf8_lossy(p.payload)))
                }
            });
        }
        Ok(found)
    }

    #[test]
    fn json_lines_are_taken_as_they_are() {
        let text = br#"{"at":"2020-01-01T00:00:00Z","topic":"a/b","payload":{"x": 1.10, "y":[1e2]}}

{"at":"2020-01-01T00:00:01Z","topic":"a/c","payload":"on\n","qos":1}
"#;
        let got = read(text).unwrap();
        assert_eq!(got[0], (1, "a/b".into(), r#"2020-01-01T00:00:00Z {"x": 1.10, "y":[1e2]}"#.into()));
        assert_eq!(got[1], (3, "a/c".into(), "2020-01-01T00:00:01Z on\n".into()));
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
}
