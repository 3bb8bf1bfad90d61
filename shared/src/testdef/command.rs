//! The command of a container, as it is written: a string or a list.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use super::{MAX_ARGS, MAX_TEXT};

/// A command: one argument or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Command(pub Vec<String>);

impl Command {
    /// Tells whether the image's own entrypoint is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a command is a string or a list of strings")]
        enum Written {
            One(String),
            List(Vec<String>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::One(one) if one.is_empty() => Self::default(),
            Written::One(one) => Self(vec![one]),
            Written::List(list) => Self(list),
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Command {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Command".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let list = schemars::json_schema!({
            "description": "A list of arguments.",
            "type": "array",
            "items": {"type": "string", "maxLength": MAX_TEXT},
            "maxItems": MAX_ARGS,
        });
        if generator.contract().is_serialize() {
            return list;
        }
        schemars::json_schema!({
            "description": "A list of arguments, or a string that is one argument; answers are lists.",
            "anyOf": [{"type": "string", "maxLength": MAX_TEXT}, list],
        })
    }
}
