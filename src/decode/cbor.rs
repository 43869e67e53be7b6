//! CBOR (RFC 8949), header by header. Texts are borrowed from the payload.

use std::borrow::Cow;

use ciborium_ll::{Decoder, Header, simple};

use super::tree::{Item, Reader};
use super::value::{self, Scalar};
use super::{Error, MAX_DEPTH};
use crate::model::TimestampUnit;

/// A date and time as text (RFC 3339).
const TAG_DATE_TIME: u64 = 0;
/// Seconds since 1970.
const TAG_EPOCH: u64 = 1;

/// What is left of a payload.
#[derive(Debug)]
pub(super) struct Cbor<'p> {
    rest: &'p [u8],
    total: usize,
}

impl<'p> Cbor<'p> {
    pub(super) fn new(payload: &'p [u8]) -> Self {
        Self { rest: payload, total: payload.len() }
    }

    fn header(&mut self) -> Result<Header, Error> {
        let mut decoder = Decoder::from(self.rest);
        let header = decoder.pull().map_err(|error| match error {
            ciborium_ll::Error::Io(_) => self.error("it ends too early"),
            ciborium_ll::Error::Syntax(_) => self.error("not the beginning of a value"),
        })?;
        self.rest = &self.rest[decoder.offset()..];
        Ok(header)
    }

    fn take(&mut self, len: usize) -> Result<&'p [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.error("it ends too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self, len: Option<usize>) -> Result<Cow<'p, str>, Error> {
        if let Some(len) = len {
            return self.chunk(len).map(Cow::Borrowed);
        }
        let mut whole = String::new();
        loop {
            match self.header()? {
                Header::Break => return Ok(Cow::Owned(whole)),
                Header::Text(Some(len)) => whole.push_str(self.chunk(len)?),
                _ => return Err(self.error("a text in pieces holds something else")),
            }
        }
    }

    fn chunk(&mut self, len: usize) -> Result<&'p str, Error> {
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("a text that is not UTF-8"))
    }

    /// Bytes are nothing that a signal can be.
    fn bytes(&mut self, len: Option<usize>) -> Result<(), Error> {
        if let Some(len) = len {
            return self.take(len).map(drop);
        }
        loop {
            match self.header()? {
                Header::Break => return Ok(()),
                Header::Bytes(Some(len)) => drop(self.take(len)?),
                _ => return Err(self.error("bytes in pieces hold something else")),
            }
        }
    }

    /// The value behind a header. What a tag says of a value counts for times only.
    fn behind(&mut self, header: Header, tags: usize) -> Result<Item<'p>, Error> {
        Ok(Item::Scalar(match header {
            Header::Array(len) => return Ok(Item::List(len.map(|len| len as u64))),
            Header::Map(len) => return Ok(Item::Map(len.map(|len| len as u64))),
            Header::Break => return Ok(Item::End),
            Header::Positive(n) => i64::try_from(n).map_or(Scalar::Uint(n), Scalar::Int),
            Header::Negative(n) => negative(n),
            Header::Float(x) => Scalar::Float(x),
            Header::Simple(simple::FALSE) => Scalar::Bool(false),
            Header::Simple(simple::TRUE) => Scalar::Bool(true),
            Header::Simple(simple::NULL | simple::UNDEFINED) => Scalar::Null,
            Header::Simple(_) => Scalar::Other,
            Header::Text(len) => Scalar::Text(self.text(len)?),
            Header::Bytes(len) => {
                self.bytes(len)?;
                Scalar::Other
            }
            Header::Tag(_) if tags == MAX_DEPTH => return Err(Error::TooDeep { offset: self.offset() }),
            Header::Tag(tag) => {
                let header = self.header()?;
                if header == Header::Break {
                    return Err(self.error("a tag of nothing"));
                }
                match (tag, self.behind(header, tags + 1)?) {
                    (TAG_DATE_TIME, Item::Scalar(text)) => time(TimestampUnit::Rfc3339, &text),
                    (TAG_EPOCH, Item::Scalar(number)) => time(TimestampUnit::Seconds, &number),
                    (_, item) => return Ok(item),
                }
            }
        }))
    }

    fn error(&self, problem: &str) -> Error {
        Error::malformed(Self::FORMAT, self.offset(), problem)
    }
}

impl<'p> Reader<'p> for Cbor<'p> {
    const FORMAT: &'static str = "CBOR";

    fn next(&mut self) -> Result<Item<'p>, Error> {
        let header = self.header()?;
        self.behind(header, 0)
    }

    fn offset(&self) -> usize {
        self.total - self.rest.len()
    }

    fn left(&self) -> usize {
        self.rest.len()
    }
}

/// -1 - `n`.
fn negative(n: u64) -> Scalar<'static> {
    #[expect(clippy::cast_precision_loss, reason = "below i64::MIN, to the nearest")]
    i64::try_from(n).map_or(Scalar::Float(-1.0 - n as f64), |n| Scalar::Int(-1 - n))
}

fn time(unit: TimestampUnit, value: &Scalar<'_>) -> Scalar<'static> {
    value::instant(unit, value).map_or(Scalar::Other, Scalar::Time)
}
