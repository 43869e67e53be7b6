//! What `forewarn replay` publishes of a recording: a CSV row as one JSON object, JSON lines as they are.

use std::path::Path;
use std::str::FromStr;

use bytes::Bytes;

use crate::decode;
use crate::domain::At;
pub(super) use crate::lab::recording::Error;
use crate::lab::recording::{Line, Lines, Row};

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
    lines: Lines,
    /// Column and `,"name":`.
    keys: Vec<(usize, String)>,
    template: Template,
}

impl Recording {
    pub(super) fn open(path: &Path, template: &Template) -> Result<Self, Error> {
        let lines = Lines::open(path)?;
        let signals = lines.columns().map(|c| c.signals()).unwrap_or_default();
        let key = |(column, name): &(usize, String)| (*column, format!(",{}:", serde_json::Value::from(name.as_str())));
        let keys = signals.iter().map(key).collect();
        Ok(Self { lines, keys, template: template.clone() })
    }
}

impl Iterator for Recording {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.lines.advance() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(match self.lines.line() {
            Line::Row(row) => {
                let topic = self.template.topic(row.device);
                Record { line: row.line, at: row.at, topic, payload: json(&row, &self.keys).into() }
            }
            Line::Publish(publish) => Record {
                line: publish.line,
                at: publish.at,
                topic: publish.topic.to_owned(),
                payload: Bytes::copy_from_slice(publish.payload),
            },
        }))
    }
}

fn json(row: &Row<'_>, keys: &[(usize, String)]) -> String {
    let mut json = String::with_capacity(32 + 16 * keys.len());
    json.push_str("{\"ts\":");
    json.push_str(&serde_json::Value::from(with_offset(row.ts)).to_string());
    for (column, key) in keys {
        let field = &row.fields[*column];
        if !field.is_empty() {
            json.push_str(key);
            push_value(&mut json, field);
        }
    }
    json.push('}');
    json
}

/// The time as given, marked as UTC if it names no offset.
fn with_offset(ts: &str) -> String {
    let named = ts.parse::<jiff::Timestamp>().is_ok();
    if named { ts.to_owned() } else { format!("{ts}Z") }
}

/// Numbers stay as they were written, digit for digit, so that the receiver reads the very same f64.
fn push_value(json: &mut String, field: &str) {
    if decode::is_number(field) || matches!(field, "true" | "false") {
        json.push_str(field);
    } else {
        json.push_str(&serde_json::Value::from(field).to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::lab::recording::{self, Entry, Fleet, Kind};
    use crate::model::{self, Message};
    use crate::source::Diagnostics;

    fn template() -> Template {
        "fleet/{device}/telemetry".parse().unwrap()
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn rows_become_messages_with_their_numbers_untouched() {
        let csv = file(
            b"ts,device,type,rpm,x\n\
            2020-01-01T00:01:00,mill-1,M,1551.10,\n\
            2020-01-01T00:02:00+01:00,mill-2,\"a \"\"b\"\"\",-0.0007,1e-05\n\
            2020-01-01T00:03:00Z,mill-1,007,.5,true\n",
        );
        let expected = [
            (2, "mill-1", r#"{"ts":"2020-01-01T00:01:00Z","type":"M","rpm":1551.10}"#),
            (3, "mill-2", r#"{"ts":"2020-01-01T00:02:00+01:00","type":"a \"b\"","rpm":-0.0007,"x":1e-05}"#),
            (4, "mill-1", r#"{"ts":"2020-01-01T00:03:00Z","type":"007","rpm":".5","x":true}"#),
        ];
        let got: Vec<Record> = Recording::open(csv.path(), &template()).unwrap().map(Result::unwrap).collect();
        let got: Vec<_> = got.iter().map(|r| (r.line, &*r.topic, std::str::from_utf8(&r.payload).unwrap())).collect();
        let topics = expected.map(|(_, device, _)| format!("fleet/{device}/telemetry"));
        let expected: Vec<_> =
            expected.iter().zip(&topics).map(|((line, _, json), topic)| (*line, &**topic, *json)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_row_read_directly_says_what_the_row_says_when_it_is_published() {
        let mut diags = Diagnostics::default();
        let text = "[model]\nid = \"m\"\ntopics = [\"fleet/+/telemetry\"]\ntimestamp = { path = \"ts\", unit = \"rfc3339\" }\n\
            [signal]\nn = { path = \"n\", valid = \"-5 <= _ < 100\", na = [99] }\nt = { path = \"t\", number_as_text = true }\n\
            b = { path = \"b\", type = \"bool\" }\ne = { path = \"e\", values = [\"on\", \"1\"] }\ns = { path = \"s\", type = \"text\" }\n";
        let model = diags.add_file("m.toml", text);
        let models = Arc::new(model::load(&mut diags, &[model]));
        assert!(!diags.has_errors(), "{}", diags.render(false));
        let long = "x".repeat(300);
        let fields = [
            "",
            "0",
            "1",
            "2",
            "-5",
            "-5.0001",
            "99",
            "99.9999",
            "100",
            "1e400",
            "-0.0",
            ".5",
            "+1",
            "007",
            " 1",
            "true",
            "false",
            "null",
            "NaN",
            "Infinity",
            "on",
            "off",
            "\"a \"\"b\"\"\"",
            "9007199254740993",
            "1e-5",
            "0.1",
            &long,
        ];
        let mut rows = "ts,device,n,t,b,e,s\n".to_owned();
        for (second, field) in fields.iter().enumerate() {
            rows.push_str(&format!("2020-01-01T00:00:{second:02}.25,d,{field},{field},{field},{field},{field}\n"));
        }
        let csv = file(rows.as_bytes());
        let published = Recording::open(csv.path(), &template()).unwrap().map(Result::unwrap).map(|record| {
            let mut message = Message::default();
            decode::json(&models.list[0], &record.payload, &mut message).unwrap();
            message
        });
        let fleet = Fleet { models: models.clone(), registry: Arc::default(), model: None };
        let mut direct = recording::Recording::open(csv.path(), fleet).unwrap();
        let (mut entry, mut messages) = (Entry::default(), Vec::new());
        while direct.read(&mut entry).unwrap() {
            messages.extend((entry.kind == Kind::Row).then(|| entry.message.clone()));
        }
        assert_eq!(messages, published.collect::<Vec<_>>());
        assert_eq!(messages.len(), fields.len());
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
    fn templates_name_the_device_and_nothing_else() {
        for bad in ["fleet/telemetry", "fleet/{device}/{x}", "fleet/+/{device}", "#{device}"] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
        assert_eq!("a/{device}".parse::<Template>().unwrap().topic("d"), "a/d");
    }
}
