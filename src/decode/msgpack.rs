//! MessagePack, marker by marker. Texts are borrowed from the payload.

use std::borrow::Cow;

use rmp::Marker;

use super::Error;
use super::tree::{Item, Reader};
use super::value::{self, Scalar};

/// The extension type of an instant.
const TIMESTAMP: u8 = 0xff;

/// What is left of a payload.
#[derive(Debug)]
pub(super) struct MessagePack<'p> {
    rest: &'p [u8],
    total: usize,
}

impl<'p> MessagePack<'p> {
    pub(super) fn new(payload: &'p [u8]) -> Self {
        Self { rest: payload, total: payload.len() }
    }

    fn take(&mut self, len: usize) -> Result<&'p [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.error("it ends too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.error("it ends too early"));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// A length of `N` bytes.
    fn len<const N: usize>(&mut self) -> Result<usize, Error> {
        Ok(self.array::<N>()?.into_iter().fold(0, |sum, byte| sum << 8 | usize::from(byte)))
    }

    fn text(&mut self, len: usize) -> Result<Scalar<'p>, Error> {
        let bytes = self.take(len)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.error("a text that is not UTF-8"))?;
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    /// Bytes are nothing that a signal can be.
    fn bytes(&mut self, len: usize) -> Result<Scalar<'p>, Error> {
        self.take(len).map(|_| Scalar::Other)
    }

    fn extension(&mut self, len: usize) -> Result<Scalar<'p>, Error> {
        let [kind] = self.array()?;
        let data = self.take(len)?;
        Ok(if kind == TIMESTAMP { timestamp(data) } else { Scalar::Other })
    }

    fn error(&self, problem: &str) -> Error {
        Error::malformed(Self::FORMAT, self.offset(), problem)
    }
}

impl<'p> Reader<'p> for MessagePack<'p> {
    const FORMAT: &'static str = "MessagePack";

    fn next(&mut self) -> Result<Item<'p>, Error> {
        let [byte] = self.array()?;
        let uint = |n: u64| i64::try_from(n).map_or(Scalar::Uint(n), Scalar::Int);
        Ok(Item::Scalar(match Marker::from_u8(byte) {
            Marker::FixMap(len) => return Ok(Item::Map(Some(len.into()))),
            Marker::Map16 => return Ok(Item::Map(Some(self.len::<2>()? as u64))),
            Marker::Map32 => return Ok(Item::Map(Some(self.len::<4>()? as u64))),
            Marker::FixArray(len) => return Ok(Item::List(Some(len.into()))),
            Marker::Array16 => return Ok(Item::List(Some(self.len::<2>()? as u64))),
            Marker::Array32 => return Ok(Item::List(Some(self.len::<4>()? as u64))),
            Marker::Null => Scalar::Null,
            Marker::False => Scalar::Bool(false),
            Marker::True => Scalar::Bool(true),
            Marker::FixPos(n) => Scalar::Int(n.into()),
            Marker::FixNeg(n) => Scalar::Int(n.into()),
            Marker::U8 => Scalar::Int(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Scalar::Int(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Scalar::Int(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => uint(u64::from_be_bytes(self.array()?)),
            Marker::I8 => Scalar::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Scalar::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Scalar::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Scalar::Int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Scalar::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Scalar::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(len) => self.text(len.into())?,
            Marker::Str8 => {
                let len = self.len::<1>()?;
                self.text(len)?
            }
            Marker::Str16 => {
                let len = self.len::<2>()?;
                self.text(len)?
            }
            Marker::Str32 => {
                let len = self.len::<4>()?;
                self.text(len)?
            }
            Marker::Bin8 => {
                let len = self.len::<1>()?;
                self.bytes(len)?
            }
            Marker::Bin16 => {
                let len = self.len::<2>()?;
                self.bytes(len)?
            }
            Marker::Bin32 => {
                let len = self.len::<4>()?;
                self.bytes(len)?
            }
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => {
                let len = self.len::<1>()?;
                self.extension(len)?
            }
            Marker::Ext16 => {
                let len = self.len::<2>()?;
                self.extension(len)?
            }
            Marker::Ext32 => {
                let len = self.len::<4>()?;
                self.extension(len)?
            }
            Marker::Reserved => return Err(self.error("the marker that is never used")),
        }))
    }

    fn offset(&self) -> usize {
        self.total - self.rest.len()
    }

    fn left(&self) -> usize {
        self.rest.len()
    }
}

/// Seconds in 32 bits; nanoseconds in 30 and seconds in 34; nanoseconds in 32 and seconds in 64.
fn timestamp(data: &[u8]) -> Scalar<'static> {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (seconds, nanos) = match data.len() {
        4 => (number(data).cast_signed(), 0),
        8 => ((number(data) & 0x3_ffff_ffff).cast_signed(), number(data) >> 34),
        12 => (number(&data[4..]).cast_signed(), number(&data[..4])),
        _ => return Scalar::Other,
    };
    let micros = seconds.checked_mul(1_000_000).and_then(|s| s.checked_add_unsigned(nanos / 1_000));
    micros.and_then(value::civil).map_or(Scalar::Other, Scalar::Time)
}
