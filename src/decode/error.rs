//! Why a payload cannot be read as a whole.

/// Why a payload cannot be read as a whole. Nothing of it is used. Offsets are bytes from the start of the payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No bytes, or only white space.
    #[error("the payload is empty")]
    Empty,
    /// Longer than [`MAX_PAYLOAD_BYTES`](super::MAX_PAYLOAD_BYTES).
    #[error("the payload has {bytes} bytes, more than {limit} are not read")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Longer than that when it is unpacked.
    #[error("the payload unpacks to more than {limit} bytes")]
    Bomb {
        /// How long it may be.
        limit: usize,
    },
    /// Cannot be unpacked.
    #[error("the payload is not {with}: {problem}")]
    NotPacked {
        /// `gzip`, `zlib` or `zstd`.
        with: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// More than [`MAX_RECORDS`](super::MAX_RECORDS).
    #[error("the payload holds more than 4096 messages")]
    TooManyRecords,
    /// No list of records where the model says that it is.
    #[error("the payload has no list of records where its model says that it is")]
    NoBatch,
    /// Not in the format that the model says.
    #[error("the payload is not {format} at byte {offset}: {problem}")]
    Malformed {
        /// `CBOR`, `MessagePack`, `Protobuf`, `SenML` or `Sparkplug`.
        format: &'static str,
        /// Where it was noticed.
        offset: usize,
        /// What is wrong.
        problem: String,
    },
    /// The bytes of a compressed file, and the model says nothing of compression.
    #[error("the payload is compressed with {with}, and its model says plain JSON")]
    Compressed {
        /// `gzip` or `zstd`.
        with: &'static str,
    },
    /// Not text.
    #[error("the payload is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Where.
        offset: usize,
    },
    /// A JSON value of another kind.
    #[error("the payload is {what}, not an object")]
    NotAnObject {
        /// `an array`, `a number`…
        what: &'static str,
    },
    /// Nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("the payload is nested deeper than 128 at byte {offset}")]
    TooDeep {
        /// Where depth 129 begins.
        offset: usize,
    },
    /// Not JSON.
    #[error("the payload is not JSON near byte {offset}: {problem}")]
    NotJson {
        /// Where it was noticed, give or take a byte.
        offset: usize,
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    /// A short label for counters and the quarantine list.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::Bomb { .. } => "unpacks_too_large",
            Self::NotPacked { .. } => "not_packed",
            Self::TooManyRecords => "too_many_records",
            Self::NoBatch => "no_batch",
            Self::Malformed { format: "CBOR", .. } => "not_cbor",
            Self::Malformed { format: "MessagePack", .. } => "not_msgpack",
            Self::Malformed { format: "Protobuf", .. } => "not_protobuf",
            Self::Malformed { format: "SenML", .. } => "not_senml",
            Self::Malformed { .. } => "not_sparkplug",
            Self::Compressed { .. } => "compressed",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotAnObject { .. } => "not_an_object",
            Self::TooDeep { .. } => "too_deep",
            Self::NotJson { .. } => "not_json",
        }
    }

    /// The same, in a payload that has `by` bytes more in front.
    pub(super) fn shifted(self, by: usize) -> Self {
        match self {
            Self::NotUtf8 { offset } => Self::NotUtf8 { offset: offset + by },
            Self::TooDeep { offset } => Self::TooDeep { offset: offset + by },
            Self::NotJson { offset, problem } => Self::NotJson { offset: offset + by, problem },
            other => other,
        }
    }

    pub(super) fn malformed(format: &'static str, offset: usize, problem: impl Into<String>) -> Self {
        Self::Malformed { format, offset, problem: problem.into() }
    }

    /// What `serde_json` said about `text`.
    pub(super) fn not_json(text: &str, error: &serde_json::Error) -> Self {
        let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let offset = (line_start + error.column().saturating_sub(1)).min(text.len());
        let rest = text.get(offset..).unwrap_or("");
        let literal = ["NaN", "nan", "Infinity", "-Infinity", "inf"].into_iter().find(|word| rest.starts_with(word));
        let said = error.to_string();
        let problem = match literal {
            Some(word) => format!("{word} is not a JSON number; send null"),
            None => said.split(" at line ").next().unwrap_or("").to_owned(),
        };
        Self::NotJson { offset, problem }
    }
}
