//! `decoder = { format, compress, batch, … }`: how the payloads of a topic are read. It is bound to the topic by the
//! model and never guessed from the bytes.

use super::{PathStep, path};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

/// A payload has at most so many bytes, as it came and unpacked, unless the model says less.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// How payloads are read.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// What the bytes are.
    pub format: Format,
    /// What they are wrapped in.
    pub compress: Option<Compression>,
    /// At most so many bytes, as it came and unpacked.
    pub max_bytes: usize,
    /// A payload holds a list of records, each a message of its own: where the list is. An empty path: the payload is
    /// the list.
    pub batch: Option<Vec<PathStep>>,
}

/// What a payload is.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// RFC 8949.
    Cbor,
    /// MessagePack.
    MessagePack,
    /// Protocol Buffers, this message of a descriptor set.
    Protobuf(prost_reflect::MessageDescriptor),
    /// RFC 8428 as JSON.
    SenmlJson,
    /// RFC 8428 as CBOR.
    SenmlCbor,
    /// One bare value a topic, named by levels of the topic.
    Scalar(Levels),
    /// The Homie convention, versions 3 to 5: `…/device/node/property`.
    Homie,
    /// Eclipse Sparkplug B, version 3.
    Sparkplug,
}

/// Which levels of a topic name the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// This one, from 0.
    One(usize),
    /// This one and all after it, joined by `/`.
    From(usize),
}

/// What a payload is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// RFC 8878.
    Zstd,
}

const FORMATS: [&str; 9] =
    ["json", "cbor", "msgpack", "protobuf", "senml-json", "senml-cbor", "scalar", "homie", "sparkplug"];
const COMPRESSIONS: [(&str, Compression); 3] =
    [("gzip", Compression::Gzip), ("zlib", Compression::Zlib), ("zstd", Compression::Zstd)];

impl Default for Decoder {
    /// Plain JSON, one object a payload.
    fn default() -> Self {
        Self { format: Format::Json, compress: None, max_bytes: MAX_PAYLOAD_BYTES, batch: None }
    }
}

impl Format {
    /// Values have paths. Otherwise a value has a name, and `path` is that name as it is sent.
    #[must_use]
    pub fn has_paths(&self) -> bool {
        matches!(self, Self::Json | Self::Cbor | Self::MessagePack | Self::Protobuf(_))
    }
}

/// Reads `decoder = { … }`. With mistakes in it, as far as it is known.
pub(super) fn decoder(diags: &mut Diagnostics, table: Table<'_>) -> Decoder {
    let format = table.need_text(diags, "format").and_then(|text| format(diags, &table, &text));
    let compress = table.text(diags, "compress").and_then(|text| compression(diags, &text));
    let max_bytes = table.count(diags, "max_bytes").map_or(MAX_PAYLOAD_BYTES, |count| {
        let bytes = count.value as usize;
        if !(1..=MAX_PAYLOAD_BYTES).contains(&bytes) {
            let finding = Diagnostic::error("M019", format!("`max_bytes` is {bytes}"));
            diags.push(finding.at(count.place, format!("from 1 to {MAX_PAYLOAD_BYTES}")));
        }
        bytes
    });
    let format = format.unwrap_or(Format::Json);
    let batch = table.text(diags, "batch").and_then(|text| batch(diags, &text, &format));
    table.finish(diags);
    Decoder { format, compress, max_bytes, batch }
}

fn format(diags: &mut Diagnostics, table: &Table<'_>, text: &Text) -> Option<Format> {
    Some(match &*text.value {
        "json" => Format::Json,
        "cbor" => Format::Cbor,
        "msgpack" => Format::MessagePack,
        "senml-json" => Format::SenmlJson,
        "senml-cbor" => Format::SenmlCbor,
        "homie" => Format::Homie,
        "sparkplug" => Format::Sparkplug,
        "scalar" => Format::Scalar(table.need_text(diags, "signal").and_then(|text| levels(diags, &text))?),
        "protobuf" => Format::Protobuf(super::descriptor::read(diags, table)?),
        other => {
            let near = did_you_mean(other, FORMATS).map(|near| format!("did you mean `{near}`?"));
            let finding = Diagnostic::error("M003", format!("unknown payload format '{other}'"));
            diags.push(finding.at(text.place.clone(), format!("one of {}", FORMATS.join(", "))).maybe_hint(near));
            return None;
        }
    })
}

fn compression(diags: &mut Diagnostics, text: &Text) -> Option<Compression> {
    let known = COMPRESSIONS.iter().find(|(word, _)| *word == &*text.value).map(|(_, with)| *with);
    if known.is_none() {
        let finding = Diagnostic::error("M003", format!("unknown compression '{}'", text.value));
        let near = did_you_mean(&text.value, COMPRESSIONS.map(|(word, _)| word));
        let near = near.map(|near| format!("did you mean `{near}`?"));
        diags.push(finding.at(text.place.clone(), "gzip, zlib or zstd").maybe_hint(near));
    }
    known
}

/// `"."`, or the path of the list.
fn batch(diags: &mut Diagnostics, text: &Text, format: &Format) -> Option<Vec<PathStep>> {
    if !format.has_paths() {
        let finding = Diagnostic::error("M019", "`batch` has no meaning for this format");
        diags.push(finding.at(text.place.clone(), "a pack is several messages by itself, a bare value is one"));
        return None;
    }
    if &*text.value == "." {
        return Some(Vec::new());
    }
    let steps = path::parse(&text.value).map_err(|error| {
        let finding = Diagnostic::error("M006", format!("the path '{}' cannot be read", text.value));
        let finding = finding.at(text.inner(diags, error.span), error.message);
        diags.push(finding.hint("write \"readings\" for a member, or \".\" if the payload itself is the list"));
    });
    steps.ok()
}

/// `topic[3]`, or `topic[2..]`.
fn levels(diags: &mut Diagnostics, text: &Text) -> Option<Levels> {
    let inner = text.value.strip_prefix("topic[").and_then(|rest| rest.strip_suffix(']'));
    let number = |digits: &str| digits.parse::<u16>().ok().map(usize::from);
    let levels = inner.and_then(|inner| match inner.strip_suffix("..") {
        Some(digits) => number(digits).map(Levels::From),
        None => number(inner).map(Levels::One),
    });
    if levels.is_none() {
        let finding = Diagnostic::error("M005", format!("`signal` is '{}'", text.value));
        let finding = finding.at(text.place.clone(), "expected levels of the topic, such as topic[3] or topic[2..]");
        diags.push(finding.hint("levels are counted from 0; `path` of a signal is what stands there"));
    }
    levels
}
