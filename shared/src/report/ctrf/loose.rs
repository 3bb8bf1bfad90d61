//! JSON without expectations: whatever stands there is taken, and what was hoped for is taken out of it.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::report::note::Position;

/// Where the parser is.
pub(super) struct Here {
    pub(super) at: Cell<Position>,
    /// Bytes that were cut out of strings since it was taken.
    pub(super) cut: Cell<u64>,
}

/// A value of which only the simple ones are kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Loose {
    Null,
    Bool(bool),
    Number(f64, String),
    /// A text, and how many bytes of it were cut.
    Text(String, u64),
    /// An array or an object, which is not kept.
    Nested,
}

impl Loose {
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Text(text, _) | Self::Number(_, text) => Some(text),
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Null | Self::Nested => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number, _) => Some(*number),
            Self::Text(text, _) => text.trim().parse().ok(),
            Self::Null | Self::Bool(_) | Self::Nested => None,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        *self == Self::Bool(true)
    }
}

/// Reads any value.
pub(super) struct Any<'h>(pub(super) &'h Here);

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Loose;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Loose, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Loose;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Null)
    }
    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Loose, E> {
        Ok(Loose::Bool(flag))
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::Number(number as f64, number.to_string()))
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::Number(number as f64, number.to_string()))
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Loose, E> {
        Ok(Loose::Number(number, number.to_string()))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Loose, E> {
        self.visit_string(text.to_owned())
    }
    fn visit_string<E>(self, text: String) -> Result<Loose, E> {
        Ok(Loose::Text(text, self.0.cut.take()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Loose, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        self.0.cut.take();
        Ok(Loose::Nested)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Loose, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.cut.take();
        Ok(Loose::Nested)
    }
}

/// What comes out of a value, piece by piece.
pub(super) enum Piece<'p> {
    /// An object begins, as an element of an array.
    Begin,
    /// A field of an object.
    Field(&'p str, Loose),
    /// A value that is no field: an element of an array, or the value itself.
    Value(Loose),
}

/// Reads a value, an array of values, an object, or an array of objects, and hands over the simple values in it.
pub(super) struct Pieces<'h, 'f> {
    pub(super) here: &'h Here,
    pub(super) take: &'f mut dyn FnMut(Piece<'_>),
    /// Whether elements and fields may hold more than simple values.
    pub(super) is_inner: bool,
}

impl<'h, 'f> Pieces<'h, 'f> {
    pub(super) fn new(here: &'h Here, take: &'f mut dyn FnMut(Piece<'_>)) -> Self {
        Self { here, take, is_inner: false }
    }

    fn value<E>(self, value: Result<Loose, E>) -> Result<(), E> {
        (self.take)(Piece::Value(value?));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Pieces<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pieces<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<(), E> {
        let value = Any(self.here).visit_bool(flag);
        self.value(value)
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        let value = Any(self.here).visit_i64(number);
        self.value(value)
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        let value = Any(self.here).visit_u64(number);
        self.value(value)
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        let value = Any(self.here).visit_f64(number);
        self.value(value)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let value = Any(self.here).visit_string(text.to_owned());
        self.value(value)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        if self.is_inner {
            while values.next_element::<IgnoredAny>()?.is_some() {}
            (self.take)(Piece::Value(Loose::Nested));
            return Ok(());
        }
        while values.next_element_seed(Pieces { here: self.here, take: &mut *self.take, is_inner: true })?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        (self.take)(Piece::Begin);
        while let Some(key) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(Any(self.here))?;
            (self.take)(Piece::Field(&key, value));
        }
        Ok(())
    }
}
