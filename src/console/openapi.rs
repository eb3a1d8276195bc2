//! The OpenAPI document as far as the reference shows it. Only what our own document has is understood.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// The fields of an object, in the order in which they are written: that of a map would be another one.
#[derive(Clone, Debug)]
pub(super) struct Fields<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Fields<T> {
    fn default() -> Fields<T> {
        Fields(Vec::new())
    }
}

impl<T> Fields<T> {
    /// The field of this name.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<T>, D::Error> {
        struct InOrder<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Fields<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<T>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

/// The whole document.
#[derive(Debug, Deserialize)]
pub(super) struct Document<'a> {
    pub(super) paths: Fields<Path>,
    #[serde(borrow)]
    pub(super) components: Components<'a>,
}

/// A path; its methods of HTTP differ only in how they carry parameters.
#[derive(Debug, Deserialize)]
pub(super) struct Path {
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) post: Option<Operation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    #[serde(default)]
    pub(super) parameters: Vec<Reference>,
    pub(super) request_body: Option<Reference>,
    pub(super) responses: Fields<Reference>,
}

/// A pointer to a component.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    #[serde(rename = "$ref", default)]
    path: String,
}

impl Reference {
    /// The component's name.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Components<'a> {
    pub(super) parameters: Fields<Parameter>,
    pub(super) request_bodies: Fields<Body>,
    pub(super) responses: Fields<Body>,
    pub(super) schemas: Fields<Schema>,
    #[serde(borrow)]
    pub(super) examples: Fields<Example<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    content: Fields<Media>,
}

impl Body {
    /// What it is as JSON.
    pub(super) fn json(&self) -> Option<&Media> {
        self.content.get("application/json")
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Media {
    pub(super) schema: Schema,
    #[serde(default)]
    pub(super) examples: Fields<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Schema {
    #[serde(rename = "$ref")]
    path: String,
    pub(super) description: String,
    pub(super) properties: Fields<Schema>,
    pub(super) required: Vec<String>,
    pub(super) any_of: Vec<Schema>,
    #[serde(rename = "enum")]
    pub(super) values: Vec<String>,
    #[serde(rename = "const")]
    constant: Option<serde_json::Value>,
}

impl Schema {
    /// The name of the component that it points to; empty for none.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// Every text that it stands for.
    pub(super) fn texts(&self) -> Vec<&str> {
        let constant = self.constant.as_ref().and_then(serde_json::Value::as_str);
        self.values.iter().map(String::as_str).chain(constant).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Example<'a> {
    #[serde(borrow)]
    pub(super) value: &'a RawValue,
}

/// JSON without the white space between its parts.
pub(super) fn compact(json: &str) -> String {
    let (mut text, mut quoted, mut escaped) = (String::with_capacity(json.len()), false, false);
    for char in json.chars() {
        if quoted || !char.is_whitespace() {
            text.push(char);
        }
        quoted = if escaped { quoted } else { quoted != (char == '"') };
        escaped = quoted && !escaped && char == '\\';
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_made_compact_and_stays_the_same() {
        for (json, expected) in [
            ("{ \"a\": 1,\n \"b\" : [ true ] }", "{\"a\":1,\"b\":[true]}"),
            ("{\"a b\": \"c  d\\\" : e\\\\\"  }", "{\"a b\":\"c  d\\\" : e\\\\\"}"),
            ("", ""),
        ] {
            assert_eq!(compact(json), expected);
        }
    }

    #[test]
    fn fields_stay_in_order() {
        let fields: Fields<i64> = serde_json::from_str("{\"b\": 1, \"a\": 2}").unwrap();
        assert_eq!(fields.0, [("b".to_owned(), 1), ("a".to_owned(), 2)]);
        assert_eq!(fields.get("a"), Some(&2));
    }
}
