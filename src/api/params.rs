//! Parameters: from the query string, a form and JSON, merged.

use super::answer::Refusal;
use chappe_core::Rejection;
use percent_encoding::percent_decode_str;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The deepest that JSON may be nested.
const DEPTH_MAX: usize = 16;

/// The parameters that any method knows. Others are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Param {
    AccessToken,
    PhoneNumber,
    RequestId,
    SenderUsername,
    Code,
    CodeLength,
    CallbackUrl,
    Payload,
    Ttl,
}

const NAMES: [(&str, Param); 9] = [
    ("access_token", Param::AccessToken),
    ("phone_number", Param::PhoneNumber),
    ("request_id", Param::RequestId),
    ("sender_username", Param::SenderUsername),
    ("code", Param::Code),
    ("code_length", Param::CodeLength),
    ("callback_url", Param::CallbackUrl),
    ("payload", Param::Payload),
    ("ttl", Param::Ttl),
];

/// What stands for a value that is no text, number or truth value: no parameter's parser accepts it.
const NO_VALUE: &str = "\0";

/// The parameters of a call. Absent, empty and null are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params {
    values: [Option<String>; NAMES.len()],
}

impl Params {
    /// Reads the query string and the body. A body that begins with `{` is JSON whatever its content type says, for
    /// that is what `curl -d` and some clients send.
    pub(super) fn parse(
        query: Option<&str>,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Params, Refusal> {
        let mut params = Params::default();
        params.add_form(query.unwrap_or(""))?;
        let body = std::str::from_utf8(body).map_err(|_| Refusal::BodyInvalid)?.trim_ascii();
        let essence =
            content_type.and_then(|value| value.split(';').next()).unwrap_or("").trim().to_ascii_lowercase();
        let json = essence == "application/json" || essence.ends_with("+json");
        let form =
            essence.is_empty() || essence == "application/x-www-form-urlencoded" || essence == "text/plain";
        if body.is_empty() {
            return Ok(params);
        } else if json || body.starts_with('{') {
            params.add_json(body)?;
        } else if form {
            params.add_form(body)?;
        } else {
            return Err(Refusal::ContentTypeUnsupported);
        }
        Ok(params)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, param: Param) -> Option<&str> {
        self.values.get(param as usize)?.as_deref()
    }

    /// All values but the token, in a fixed order, for telling whether two calls say the same.
    pub(super) fn spoken(&self) -> impl Iterator<Item = &str> {
        self.values.iter().skip(1).map(|value| value.as_deref().unwrap_or(""))
    }

    fn add_form(&mut self, form: &str) -> Result<(), Refusal> {
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.add(&decode(name)?, decode(value)?)?;
        }
        Ok(())
    }

    fn add_json(&mut self, body: &str) -> Result<(), Refusal> {
        if depth(body) > DEPTH_MAX {
            return Err(Refusal::BodyInvalid);
        }
        let Pairs(pairs) = serde_json::from_str(body).map_err(|_| Refusal::BodyInvalid)?;
        for (name, value) in pairs {
            if let Some(value) = scalar(value)? {
                self.add(&name, value)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), Refusal> {
        let Some((_, param)) = NAMES.iter().find(|(known, _)| *known == name) else { return Ok(()) };
        let Some(slot) = self.values.get_mut(*param as usize) else { return Ok(()) };
        match slot {
            _ if value.is_empty() => Ok(()),
            Some(before) if *before != value => Err(Rejection::ParameterConflict.into()),
            _ => {
                *slot = Some(value);
                Ok(())
            }
        }
    }
}

fn decode(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| Refusal::BodyInvalid)?;
    Ok(decoded.into_owned())
}

/// The text of a JSON value: a string's own, a number or truth value as it is written; `None` for null.
fn scalar(value: &RawValue) -> Result<Option<String>, Refusal> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map(Some).map_err(|_| Refusal::BodyInvalid),
        Some(b'n') => Ok(None),
        Some(b'{' | b'[') => Ok(Some(NO_VALUE.to_owned())),
        _ => Ok(Some(text.to_owned())),
    }
}

/// How deep brackets nest, outside strings.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The pairs of a JSON object in order, the same name as often as it stands there.
struct Pairs<'de>(Vec<(String, &'de RawValue)>);

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    fn parse(query: &str, content_type: Option<&str>, body: &str) -> Result<Params, Refusal> {
        Params::parse(Some(query), content_type, body.as_bytes())
    }

    #[test]
    fn come_from_query_form_and_json() {
        for (query, content_type, body) in [
            ("code=1234&ttl=60", None, ""),
            ("", FORM, "code=1234&ttl=60"),
            ("", JSON, r#"{"code":"1234","ttl":60}"#),
            ("", JSON, r#"{"code":1234,"ttl":"60","payload":null,"unknown":{"a":[1]}}"#),
            ("ttl=60", FORM, "code=1234"),
            ("ttl=60&code=1234", JSON, r#"{"code":"1234"}"#),
            ("", FORM, r#"{"code":"1234","ttl":60}"#),
            ("", Some("application/json; charset=utf-8"), " {\"code\":\"1234\",\"ttl\":60}\n"),
        ] {
            let params = parse(query, content_type, body).unwrap();
            assert_eq!(
                (params.get(Param::Code), params.get(Param::Ttl)),
                (Some("1234"), Some("60")),
                "{query} {body}"
            );
            assert_eq!(params.get(Param::Payload), None);
        }
    }

    #[test]
    fn empty_and_null_are_absent() {
        let params = parse("code=&ttl", JSON, r#"{"payload":"","phone_number":null}"#).unwrap();
        assert_eq!(params, Params::default());
    }

    #[test]
    fn keep_what_was_written() {
        let params = parse("phone_number=%2B391234567890&payload=a+b%20c%26", None, "").unwrap();
        assert_eq!(params.get(Param::PhoneNumber), Some("+391234567890"));
        assert_eq!(params.get(Param::Payload), Some("a b c&"));
        let params = parse("phone_number=+391234567890", None, "").unwrap();
        assert_eq!(params.get(Param::PhoneNumber), Some(" 391234567890"), "a plus that nobody encoded");
        let params = parse("", JSON, r#"{"code":"0012","payload":"\u00e9\ud83d\ude00"}"#).unwrap();
        assert_eq!((params.get(Param::Code), params.get(Param::Payload)), (Some("0012"), Some("é😀")));
        let params = parse("", JSON, r#"{"phone_number":391234567890,"code":1e3,"ttl":60.0}"#).unwrap();
        assert_eq!(params.get(Param::PhoneNumber), Some("391234567890"));
        assert_eq!((params.get(Param::Code), params.get(Param::Ttl)), (Some("1e3"), Some("60.0")));
    }

    #[test]
    fn two_values_conflict_and_one_value_twice_does_not() {
        let conflict = Err(Refusal::Rejected(Rejection::ParameterConflict));
        assert_eq!(parse("code=1234&code=1235", None, ""), conflict);
        assert_eq!(parse("code=1234", JSON, r#"{"code":"1235"}"#), conflict);
        assert_eq!(parse("", JSON, r#"{"code":"1234","code":"1235"}"#), conflict);
        assert!(parse("code=1234&code=1234", FORM, "code=1234").is_ok());
        assert!(parse("unknown=1&unknown=2", None, "").is_ok());
    }

    #[test]
    fn what_is_no_scalar_is_no_value() {
        let params = parse("", JSON, r#"{"phone_number":["+391234567890"],"code":{"a":1}}"#).unwrap();
        assert_eq!((params.get(Param::PhoneNumber), params.get(Param::Code)), (Some("\0"), Some("\0")));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let nested = format!("{{\"x\":{}1{}}}", "[".repeat(16), "]".repeat(16));
        for body in
            ["[]", "1", "{", r#"{"code":}"#, r#"{"code":"\ud800"}"#, "{}x", &nested, r#"{"code":0123}"#]
        {
            assert_eq!(parse("", JSON, body), Err(Refusal::BodyInvalid), "{body}");
        }
        assert_eq!(parse("code=%ff", None, ""), Err(Refusal::BodyInvalid));
        assert_eq!(Params::parse(None, FORM, b"code=\xff"), Err(Refusal::BodyInvalid));
        assert_eq!(
            parse("", Some("multipart/form-data; boundary=x"), "--x"),
            Err(Refusal::ContentTypeUnsupported)
        );
        let allowed = format!("{{\"x\":{}1{}}}", "[".repeat(15), "]".repeat(15));
        assert!(parse("", JSON, &allowed).is_ok());
        assert!(parse("", JSON, r#"{"payload":"[[[[[[[[[[[[[[[[[[[[[[[["}"#).is_ok());
    }
}
