//! Which rows are about somebody: whether a value names one of some ids, wherever in it.
//!
//! It is asked by serialising the value into nothing. What counts is the id and what it is an id of, as its type says:
//! the customer `17` is not the device `17`, and neither is the text "17".

use std::collections::BTreeSet;
use std::fmt;

use serde::ser::{self, Serialize};

use crate::domain::{CaseId, CustomerId, DeviceId, EndpointId};

/// Ids to look for.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Name of the type and text.
    texts: BTreeSet<(&'static str, String)>,
    /// Their texts are nothing else's.
    cases: BTreeSet<String>,
}

impl Named {
    pub(super) fn customer(&mut self, id: &CustomerId) {
        self.texts.insert(("CustomerId", id.to_string()));
    }

    pub(super) fn device(&mut self, id: &DeviceId) {
        self.texts.insert(("DeviceId", id.to_string()));
    }

    pub(super) fn endpoint(&mut self, id: &EndpointId) {
        self.texts.insert(("EndpointId", id.to_string()));
    }

    pub(super) fn case(&mut self, id: CaseId) {
        self.cases.insert(id.to_string());
    }

    /// Whether one of them is in `value`.
    pub(super) fn are_in(&self, value: &impl Serialize) -> bool {
        value.serialize(&mut Search { named: self, of: "" }) == Err(Found)
    }
}

/// One is there: nothing more need be read.
#[derive(Debug, PartialEq, Eq)]
struct Found;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("found")
    }
}

impl std::error::Error for Found {}

impl ser::Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Search<'n> {
    named: &'n Named,
    /// The type whose text comes next.
    of: &'static str,
}

type Searched = Result<(), Found>;

/// What holds no ids.
macro_rules! nothing {
    ($($method:ident: $of:ty),* $(,)?) => {
        $(fn $method(self, _: $of) -> Searched { Ok(()) })*
    };
}

impl ser::Serializer for &mut Search<'_> {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    nothing! {
        serialize_bool: bool, serialize_char: char, serialize_bytes: &[u8], serialize_f32: f32, serialize_f64: f64,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_unit_struct: &'static str,
    }

    fn serialize_str(self, text: &str) -> Searched {
        let of = std::mem::take(&mut self.of);
        let named =
            self.named.cases.contains(text) || (!of.is_empty() && self.named.texts.contains(&(of, text.to_owned())));
        if named { Err(Found) } else { Ok(()) }
    }

    fn serialize_none(self) -> Searched {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Searched {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Searched {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Searched {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Searched {
        self.of = name;
        let searched = value.serialize(&mut *self);
        self.of = "";
        searched
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Searched {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Found> {
        Ok(self)
    }
}

/// What holds several: each of them is searched.
macro_rules! several {
    ($($of:ident { $($method:ident($($key:ty)?)),* })*) => {$(
        impl ser::$of for &mut Search<'_> {
            type Ok = ();
            type Error = Found;
            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Searched {
                value.serialize(&mut **self)
            })*
            fn end(self) -> Searched {
                Ok(())
            }
        }
    )*};
}

several! {
    SerializeSeq { serialize_element() }
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeMap { serialize_key(), serialize_value() }
    SerializeStruct { serialize_field(&'static str) }
    SerializeStructVariant { serialize_field(&'static str) }
}
