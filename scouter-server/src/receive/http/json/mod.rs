//! OTLP/JSON to OTLP/protobuf in one pass over the text: no tree of the message is built on the way.
//!
//! The rules are the protobuf JSON mapping's with OTLP's changes (OTLP specification, "JSON Protobuf Encoding"): names are
//! lowerCamelCase only, trace and span ids are hex of either case, enums are numbers, 64-bit integers come as text or as number,
//! bytes are base64, unknown names are passed over, `null` means absent.

mod logs;
mod schema;
mod value;

use std::fmt;

use scouter_span::wire::nested;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::store::Signal;
use schema::{Field, Kind, Schema};

/// The protobuf form of a request of this signal in JSON.
///
/// # Errors
/// The text is not JSON, or a known field has a value it cannot have. Says where.
pub(in crate::receive) fn to_protobuf(signal: Signal, text: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let schema = match signal {
        Signal::Traces => &schema::REQUEST,
        Signal::Logs => &logs::REQUEST,
    };
    Message { schema, out: &mut out }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

/// A message whose fields are appended to `out` as they come.
struct Message<'o> {
    schema: &'static Schema,
    out: &'o mut Vec<u8>,
}

/// The name of a field; `None` for one the schema does not have.
struct Name(&'static Schema);

/// The elements of a repeated field of messages.
struct Messages<'o> {
    field: &'static Field,
    schema: &'static Schema,
    out: &'o mut Vec<u8>,
}

/// `null`, or what `T` reads.
struct Nullable<T>(T);

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object, {}", self.schema.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { schema, out } = self;
        while let Some(field) = map.next_key_seed(Name(schema))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            match field.kind {
                Kind::Message(schema) => map.next_value_seed(Nullable(Nested { field, schema, out: &mut *out }))?,
                Kind::Messages(schema) => map.next_value_seed(Nullable(Messages { field, schema, out: &mut *out }))?,
                _ => map.next_value_seed(value::Scalar { field, out: &mut *out })?,
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.name == name))
    }
}

/// A message in a field of its own.
struct Nested<'o> {
    field: &'static Field,
    schema: &'static Schema,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut result = Ok(());
        nested(self.out, self.field.number, |out| {
            result = Message { schema: self.schema, out }.deserialize(deserializer);
        });
        result
    }
}

impl<'de> DeserializeSeed<'de> for Messages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of objects, {}", self.schema.name)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { field, schema, out } = self;
        while list.next_element_seed(Nested { field, schema, out: &mut *out })?.is_some() {}
        Ok(())
    }
}

impl<'de, T: DeserializeSeed<'de, Value = ()>> DeserializeSeed<'de> for Nullable<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: DeserializeSeed<'de, Value = ()>> Visitor<'de> for Nullable<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests;
