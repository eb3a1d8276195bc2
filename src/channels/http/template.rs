//! Templates: what is sent, with places for what differs from message to message.

use crate::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;

/// What is escaped in an address: everything but the unreserved characters of RFC 3986.
const IN_ADDRESS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with places in it. What is put into a place is escaped for where the text stands.
#[derive(Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
    escape: Escape,
}

#[derive(Clone)]
enum Part {
    Text(String),
    Place(Place),
}

/// What can be put into a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The number with its plus.
    To,
    /// The number without.
    ToDigits,
    /// The text of the message.
    Text,
    /// The code alone.
    Code,
    /// The sender.
    From,
    /// Our own name for this message on this hop.
    Id,
    /// Where the provider says what became of it.
    CallbackUrl,
    /// For how many seconds the message is of use.
    TtlS,
}

/// How a value is written where a template stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As it is.
    Nothing,
    /// Within a text of JSON.
    Json,
    /// As a value of a form.
    Form,
    /// In an address.
    Address,
}

/// What is put into templates for one message.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) to_digits: String,
    pub(super) text: String,
    pub(super) code: String,
    pub(super) from: String,
    pub(super) id: String,
    pub(super) callback_url: Option<String>,
    pub(super) ttl_s: u64,
}

/// A text that makes no template, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidTemplate {
    /// A variable that the account does not have.
    #[error("vars.{0} is not set")]
    Variable(String),
    /// A place that there is not.
    #[error("{{{0}}} stands for nothing: there are {places} and {{vars.…}}", places = places())]
    Place(String),
    /// A place in this setting, which is the same for every message. It may be a secret, and so is not repeated.
    #[error("{0} has something in braces that is no {{vars.…}}: a secret with braces in it goes into vars")]
    Braces(&'static str),
}

impl From<InvalidTemplate> for String {
    fn from(error: InvalidTemplate) -> String {
        error.to_string()
    }
}

fn places() -> String {
    PLACES.map(|(name, _)| format!("{{{name}}}")).join(", ")
}

const PLACES: [(&str, Place); 8] = [
    ("to", Place::To),
    ("to_digits", Place::ToDigits),
    ("text", Place::Text),
    ("code", Place::Code),
    ("from", Place::From),
    ("id", Place::Id),
    ("callback_url", Place::CallbackUrl),
    ("ttl_s", Place::TtlS),
];

impl Template {
    /// Reads a template. The account's own variables are put in at once. Braces that do not hold a lower-case word are
    /// taken as they are, since JSON is full of them.
    pub(super) fn parse(
        text: &str,
        vars: &BTreeMap<String, Secret>,
        escape: Escape,
    ) -> Result<Template, InvalidTemplate> {
        let mut template = Template { parts: Vec::new(), escape };
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            template.add_text(before);
            let inside = from.get(1..).unwrap_or_default();
            let name = inside.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
            let Some(name) = name else {
                template.add_text("{");
                rest = inside;
                continue;
            };
            match name.strip_prefix("vars.") {
                Some(var) => {
                    let value = vars.get(var).filter(|value| !value.is_empty());
                    let value = value.ok_or_else(|| InvalidTemplate::Variable(var.to_owned()))?;
                    template.add_text(&escape.apply(value.expose()));
                }
                None => {
                    let known = PLACES.iter().find(|(known, _)| *known == name);
                    let (_, place) = known.ok_or_else(|| InvalidTemplate::Place(name.to_owned()))?;
                    template.parts.push(Part::Place(*place));
                }
            }
            rest = inside.get(name.len() + 1..).unwrap_or_default();
        }
        template.add_text(rest);
        Ok(template)
    }

    /// The text of a setting that is the same for every message, with the account's variables in it.
    pub(super) fn fixed(
        setting: &'static str,
        text: &str,
        vars: &BTreeMap<String, Secret>,
    ) -> Result<String, InvalidTemplate> {
        let literal = match Template::parse(text, vars, Escape::Nothing) {
            Ok(template) => template.literal(),
            Err(InvalidTemplate::Place(_)) => None,
            Err(error) => return Err(error),
        };
        literal.ok_or(InvalidTemplate::Braces(setting))
    }

    /// The whole of it, if it has no places.
    fn literal(&self) -> Option<String> {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Place(_) => None,
        };
        self.parts.iter().map(text).collect()
    }

    fn add_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Whether it holds this place.
    pub(super) fn holds(&self, place: Place) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Place(held) if *held == place))
    }

    /// The place that it consists of.
    pub(super) fn only(&self) -> Option<Place> {
        match self.parts.as_slice() {
            [Part::Place(place)] => Some(*place),
            _ => None,
        }
    }

    /// Whether nothing stands in it.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What stands before its first place.
    pub(super) fn beginning(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The text with these values in its places.
    pub(super) fn render(&self, values: &Values) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Place(place) => text.push_str(&self.escape.apply(&values.get(*place))),
            }
        }
        text
    }
}

impl Values {
    fn get(&self, place: Place) -> String {
        match place {
            Place::To => format!("+{}", self.to_digits),
            Place::ToDigits => self.to_digits.clone(),
            Place::Text => self.text.clone(),
            Place::Code => self.code.clone(),
            Place::From => self.from.clone(),
            Place::Id => self.id.clone(),
            Place::CallbackUrl => self.callback_url.clone().unwrap_or_default(),
            Place::TtlS => self.ttl_s.to_string(),
        }
    }

    /// Values as awkward as they come, to try templates with.
    pub(super) fn awkward() -> Values {
        Values {
            to_digits: "391234567890".to_owned(),
            text: "\"1234\" & \\ {code}\n\n@example.com #1234".to_owned(),
            code: "1234".to_owned(),
            from: "A \"sender\"".to_owned(),
            id: "222370177540343-0".to_owned(),
            callback_url: Some("https://codes.example/channels/sms/x?a=b&c=d".to_owned()),
            ttl_s: 60,
        }
    }
}

impl Escape {
    fn apply(self, value: &str) -> String {
        match self {
            Escape::Nothing => value.to_owned(),
            Escape::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
            }
            Escape::Form => url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            Escape::Address => utf8_percent_encode(value, IN_ADDRESS).to_string(),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, escape: Escape) -> String {
        let vars = BTreeMap::from([("key".to_owned(), Secret::from("a/\"b\" c"))]);
        Template::parse(text, &vars, escape).unwrap().render(&Values::awkward())
    }

    #[test]
    fn values_are_escaped_for_where_they_stand() {
        assert_eq!(
            render("{to} {to_digits} {id} {ttl_s}", Escape::Nothing),
            "+391234567890 391234567890 222370177540343-0 60"
        );
        assert_eq!(
            render("/{vars.key}/{to}?f={from}", Escape::Address),
            "/a%2F%22b%22%20c/%2B391234567890?f=A%20%22sender%22"
        );
        assert_eq!(render("To={to}&From={from}", Escape::Form), "To=%2B391234567890&From=A+%22sender%22");
        let json = render(
            r#"{"to": "{to}", "text": "{text}", "k": "{vars.key}", "x": {}, "n": {ttl_s}}"#,
            Escape::Json,
        );
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["text"], Values::awkward().text.as_str());
        assert_eq!((&json["k"], &json["n"]), (&"a/\"b\" c".into(), &60.into()));
    }

    #[test]
    fn what_is_put_in_is_never_read_as_a_place() {
        let values = Values { from: "{code}".to_owned(), ..Values::awkward() };
        let template = Template::parse("{from}", &BTreeMap::new(), Escape::Nothing).unwrap();
        assert_eq!(template.render(&values), "{code}");
        let vars = BTreeMap::from([("key".to_owned(), Secret::from("{code}"))]);
        let template = Template::parse("{vars.key}", &vars, Escape::Nothing).unwrap();
        assert_eq!(template.render(&values), "{code}");
    }

    #[test]
    fn a_place_that_there_is_not_is_named() {
        let error =
            |text: &str| Template::parse(text, &BTreeMap::new(), Escape::Nothing).err().unwrap().to_string();
        assert!(error("{phone}").starts_with("{phone} stands for nothing: there are {to}, {to_digits}, "));
        assert_eq!(error("Bearer {vars.api_key}"), "vars.api_key is not set");
        for text in ["{", "}", "{}", "{ to }", "{To}", "{\"to\"", "{to"] {
            let template = Template::parse(text, &BTreeMap::new(), Escape::Nothing).unwrap();
            assert_eq!(template.render(&Values::awkward()), text);
        }
    }

    #[test]
    fn what_is_the_same_for_every_message_has_no_places_and_is_not_repeated() {
        let vars = BTreeMap::from([("key".to_owned(), Secret::from("{code}{x}"))]);
        let fixed = |text: &str| Template::fixed("password", text, &vars);
        assert_eq!(fixed("{vars.key}-{}{vars.key}").unwrap(), "{code}{x}-{}{code}{x}");
        assert_eq!(fixed("").unwrap(), "");
        for text in ["hunter2{code}", "hunter2{hunter2}", "{vars.key}{text}"] {
            assert_eq!(fixed(text), Err(InvalidTemplate::Braces("password")));
        }
        assert!(!InvalidTemplate::Braces("password").to_string().contains("hunter2"));
        assert_eq!(fixed("{vars.other}"), Err(InvalidTemplate::Variable("other".to_owned())));
    }
}
