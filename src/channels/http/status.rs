//! What a provider tells of a message later, at the address that it was given for that.

use super::answer::{AnyOf, Pointer, is_reference, shortened};
use super::template::Template;
use super::{Http, mask_digits};
use crate::channels::callback::{Answer, Incoming};
use crate::channels::inbox::{About, Inbox, News, NotTaken};
use crate::secret::Secret;
use aws_lc_rs::{constant_time, hmac};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use chappe_core::ChannelEvent;
use chappe_core::hex::from_hex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most messages that one callback may tell of.
const ITEMS_MAX: usize = 200;
/// The path of the one address for all messages of an account, for providers that cannot be given one for each.
const ACCOUNT_WIDE: &str = "status";
/// The shortest secret that callbacks may be known by, in bytes.
const SECRET_MIN_BYTES: usize = 16;

/// What callbacks look like.
#[derive(Clone)]
pub(super) struct CallbackSettings {
    status: Field,
    reference: Option<Field>,
    reason: Vec<Field>,
    list: Option<Pointer>,
    delivered: AnyOf,
    read: AnyOf,
    failed: AnyOf,
    secret: Option<Password>,
    signature: Option<Signature>,
}

/// What callbacks to the account's address have to hold: as `?key=`, or in a header.
#[derive(Clone)]
struct Password {
    secret: Secret,
    header: Option<HeaderName>,
}

/// How a provider signs callbacks.
#[derive(Clone)]
struct Signature {
    header: HeaderName,
    algorithm: Algorithm,
    encoding: Encoding,
    prefix: String,
    secret: Secret,
}

/// Over what, and with which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Algorithm {
    /// HMAC-SHA256 over the body.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC-SHA1 over the address and the fields of the form in the order of their names.
    #[serde(rename = "twilio-sha1")]
    TwilioSha1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Hex,
    Base64,
}

/// Where something stands: at a JSON pointer of the body, or in a field of the form or the query.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
enum Field {
    Json(Pointer),
    Named(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCallback {
    status: Field,
    reference: Option<Field>,
    #[serde(default)]
    reason: Vec<Field>,
    list: Option<Pointer>,
    #[serde(default)]
    delivered: AnyOf,
    #[serde(default)]
    read: AnyOf,
    #[serde(default)]
    failed: AnyOf,
    secret: Option<Secret>,
    secret_header: Option<String>,
    signature: Option<RawSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    header: String,
    algorithm: Algorithm,
    encoding: Option<Encoding>,
    #[serde(default)]
    prefix: String,
    secret: Secret,
}

/// What a callback holds.
struct Told {
    fields: Vec<(String, String)>,
    json: Value,
}

impl From<String> for Field {
    fn from(text: String) -> Field {
        Pointer::parse(&text).map_or(Field::Named(text), Field::Json)
    }
}

impl RawCallback {
    pub(super) fn read(self, vars: &BTreeMap<String, Secret>) -> Result<CallbackSettings, String> {
        if self.delivered.is_empty() && self.read.is_empty() {
            return Err("callback.delivered is empty: nothing would ever be delivered".to_owned());
        }
        let header = |name: String, setting: &str| {
            HeaderName::try_from(&name).map_err(|_| format!("callback.{setting} {name:?} is no header"))
        };
        let secret_header = self.secret_header.map(|name| header(name, "secret_header")).transpose()?;
        let secret = match self.secret {
            None if secret_header.is_some() => {
                return Err("callback.secret_header is set, and callback.secret is not".to_owned());
            }
            None => None,
            Some(secret) => {
                let secret = Secret::from(Template::fixed("callback.secret", secret.expose(), vars)?);
                if secret.expose().len() < SECRET_MIN_BYTES {
                    return Err(format!("callback.secret has {SECRET_MIN_BYTES} characters at least"));
                }
                Some(Password { secret, header: secret_header })
            }
        };
        let signature = match self.signature {
            None => None,
            Some(raw) => {
                let usual = match raw.algorithm {
                    Algorithm::HmacSha256 => Encoding::Hex,
                    Algorithm::TwilioSha1 => Encoding::Base64,
                };
                let secret = Template::fixed("callback.signature.secret", raw.secret.expose(), vars)?;
                if secret.is_empty() {
                    return Err("callback.signature.secret is empty".to_owned());
                }
                let points = |field: &Field| matches!(field, Field::Json(_));
                let in_json = self.list.is_some()
                    || std::iter::once(&self.status).chain(&self.reference).chain(&self.reason).any(points);
                if raw.algorithm == Algorithm::TwilioSha1 && in_json {
                    return Err("twilio-sha1 signs no JSON: callback names the fields of a form".to_owned());
                }
                Some(Signature {
                    header: header(raw.header, "signature.header")?,
                    algorithm: raw.algorithm,
                    encoding: raw.encoding.unwrap_or(usual),
                    prefix: raw.prefix,
                    secret: secret.into(),
                })
            }
        };
        Ok(CallbackSettings {
            status: self.status,
            reference: self.reference,
            reason: self.reason,
            list: self.list,
            delivered: self.delivered,
            read: self.read,
            failed: self.failed,
            secret,
            signature,
        })
    }
}

impl Http {
    /// Takes in what the provider says, once it has shown that it is the provider.
    pub(in crate::channels) async fn hear(&self, incoming: Incoming, inbox: &Inbox) -> Answer {
        let Some(settings) = &self.settings.callback else { return Answer::Forbidden };
        let Ok(about) = self.recognise(settings, &incoming) else { return Answer::Forbidden };
        let told = Told::read(&incoming, settings.signature.as_ref().map(|signature| signature.algorithm));
        let items: Vec<&Value> = match settings.list.as_ref().map(|list| list.list(&told.json)) {
            None => vec![&told.json],
            Some(None) => return Answer::Malformed,
            Some(Some(list)) => list.iter().collect(),
        };
        if items.len() > ITEMS_MAX {
            return Answer::Malformed;
        }
        let mut news = Vec::new();
        for item in items {
            match settings.understand(&told.fields, item, about.as_ref()) {
                Ok(found) => news.extend(found),
                Err(answer) => return answer,
            }
        }
        let taken = futures_util::future::join_all(news.into_iter().map(|news| inbox.put(news))).await;
        let worst = |one: Answer, taken: &Result<(), NotTaken>| match (one, taken) {
            (_, Err(NotTaken::Failed)) | (Answer::Again, _) => Answer::Again,
            (_, Err(NotTaken::Unknown)) => Answer::Unknown,
            (answer, Ok(())) => answer,
        };
        taken.iter().fold(Answer::Heard, worst)
    }

    /// Whom a callback is from, by its address and by what the operator wants to see; and what it is about, where its
    /// address says that.
    fn recognise(&self, settings: &CallbackSettings, incoming: &Incoming) -> Result<Option<About>, Stranger> {
        let about = if incoming.path == ACCOUNT_WIDE {
            match &settings.secret {
                Some(password) => password.check(incoming)?,
                // Then the signature has to do, and there must be one.
                None if settings.signature.is_none() => return Err(Stranger),
                None => {}
            }
            None
        } else {
            let (request, hop) = self.callbacks.hop_of_path(&self.name, &incoming.path).ok_or(Stranger)?;
            Some(About::Hop(request, hop))
        };
        if let Some(signature) = &settings.signature {
            let address = self.callbacks.url(&self.name, &incoming.path).ok_or(Stranger)?;
            signature.check(incoming, &address)?;
        }
        Ok(about)
    }
}

/// Somebody who has not shown that they are the provider.
struct Stranger;

impl CallbackSettings {
    /// What a callback says of one message: nothing, if it is nothing that matters here.
    fn understand(
        &self,
        fields: &[(String, String)],
        json: &Value,
        about: Option<&About>,
    ) -> Result<Option<News>, Answer> {
        let status = self.status.find(fields, json).ok_or(Answer::Malformed)?;
        let event = if self.delivered.has(&status) {
            ChannelEvent::Delivered
        } else if self.read.has(&status) {
            ChannelEvent::Read
        } else if self.failed.has(&status) {
            let words: Vec<_> = self.reason.iter().filter_map(|field| field.find(fields, json)).collect();
            let words = std::iter::once(status).chain(words).collect::<Vec<_>>().join(", ");
            let words = shortened(&mask_digits(&words));
            ChannelEvent::Failed { reason: format!("the provider reports: {words}") }
        } else {
            return Ok(None);
        };
        let about = match about {
            Some(about) => about.clone(),
            None => {
                let reference = self.reference.as_ref().and_then(|field| field.find(fields, json));
                let reference = reference.filter(|reference| is_reference(reference));
                About::Reference(reference.ok_or(Answer::Malformed)?)
            }
        };
        Ok(Some(News::Said { about, events: vec![event] }))
    }
}

impl Field {
    fn find(&self, fields: &[(String, String)], json: &Value) -> Option<String> {
        match self {
            Field::Json(pointer) => pointer.find(json),
            Field::Named(name) => {
                fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
            }
        }
    }
}

impl Told {
    /// The fields of form and query, and the body as JSON; whatever of it there is, and a signature covers. What it does
    /// not cover, whoever has seen one callback could put beside it.
    fn read(incoming: &Incoming, signed: Option<Algorithm>) -> Told {
        let (query, json) = match signed {
            None => (true, true),
            Some(Algorithm::HmacSha256) => (false, true),
            Some(Algorithm::TwilioSha1) => (true, false),
        };
        let mut fields = form(incoming);
        if query {
            fields.extend(pairs(incoming.query.as_bytes()));
        }
        let json = json.then(|| serde_json::from_slice(&incoming.body).unwrap_or_default());
        Told { fields, json: json.unwrap_or_default() }
    }
}

/// The fields of a form in the body.
fn form(incoming: &Incoming) -> Vec<(String, String)> {
    let kind = incoming.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    if is_form { pairs(&incoming.body) } else { Vec::new() }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(text);
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The one value of a header; two would let whoever stands in between choose.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], Stranger> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        _ => Err(Stranger),
    }
}

impl Password {
    fn check(&self, incoming: &Incoming) -> Result<(), Stranger> {
        let shown = match &self.header {
            Some(header) => only(&incoming.headers, header)?.to_vec(),
            None => {
                let mut keys = pairs(incoming.query.as_bytes()).into_iter().filter(|(name, _)| name == "key");
                keys.next().map(|(_, key)| key.into_bytes()).ok_or(Stranger)?
            }
        };
        let same = constant_time::verify_slices_are_equal(&shown, self.secret.expose().as_bytes());
        same.map_err(|_| Stranger)
    }
}

impl Signature {
    /// Checks the signature of a callback to `address`, which is without its query.
    fn check(&self, incoming: &Incoming, address: &str) -> Result<(), Stranger> {
        let shown = std::str::from_utf8(only(&incoming.headers, &self.header)?).map_err(|_| Stranger)?;
        let shown = shown.trim().strip_prefix(self.prefix.as_str()).ok_or(Stranger)?;
        let shown = match self.encoding {
            Encoding::Hex => from_hex(&shown.to_ascii_lowercase()),
            Encoding::Base64 => base64::engine::general_purpose::STANDARD.decode(shown).ok(),
        };
        let shown = shown.ok_or(Stranger)?;
        let (algorithm, signed) = match self.algorithm {
            Algorithm::HmacSha256 => (hmac::HMAC_SHA256, incoming.body.to_vec()),
            Algorithm::TwilioSha1 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, twilio(incoming, address)),
        };
        let key = hmac::Key::new(algorithm, self.secret.expose().as_bytes());
        hmac::verify(&key, &signed, &shown).map_err(|_| Stranger)
    }
}

/// What Twilio signs: the whole address as it was given to it, and each field of the form behind it, sorted by name.
fn twilio(incoming: &Incoming, address: &str) -> Vec<u8> {
    let query = if incoming.query.is_empty() { String::new() } else { format!("?{}", incoming.query) };
    let mut fields = form(incoming);
    fields.sort();
    let fields: String = fields.into_iter().map(|(name, value)| name + &value).collect();
    format!("{address}{query}{fields}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Method;

    fn incoming(query: &str, headers: &[(&str, &str)], body: &str) -> Incoming {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap()));
        Incoming {
            method: Method::POST,
            path: "x".to_owned(),
            query: query.to_owned(),
            headers: headers.collect(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn only_what_is_signed_is_read() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let json = ("content-type", "application/json");
        let read = |signed, header, body| {
            let told = Told::read(&incoming("a=1", &[header], body), signed);
            (told.fields.into_iter().map(|(name, _)| name).collect::<String>(), !told.json.is_null())
        };
        for (signed, of_form, of_json) in [
            (None, ("ba", false), ("a", true)),
            (Some(Algorithm::HmacSha256), ("b", false), ("", true)),
            (Some(Algorithm::TwilioSha1), ("ba", false), ("a", false)),
        ] {
            let (names, has_json) = read(signed, form, "b=2");
            assert_eq!((names.as_str(), has_json), of_form, "{signed:?}");
            let (names, has_json) = read(signed, json, "{\"b\": 2}");
            assert_eq!((names.as_str(), has_json), of_json, "{signed:?}");
        }
    }

    /// The example that Twilio's own libraries are tested with.
    #[test]
    fn twilios_own_example_is_right() {
        let signature = Signature {
            header: HeaderName::from_static("x-twilio-signature"),
            algorithm: Algorithm::TwilioSha1,
            encoding: Encoding::Base64,
            prefix: String::new(),
            secret: "12345".into(),
        };
        let form = ("content-type", "application/x-www-form-urlencoded");
        let body = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
        let right = ("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        let address = "https://mycompany.com/myapp.php";
        let query = "foo=1&bar=2";
        assert!(signature.check(&incoming(query, &[form, right], body), address).is_ok());
        for (query, headers, body) in [
            ("foo=1&bar=3", vec![form, right], body),
            (query, vec![form, right], "CallSid=CA1234567890ABCDE"),
            (query, vec![form], body),
            (query, vec![form, right, right], body),
            (query, vec![form, ("x-twilio-signature", "?")], body),
        ] {
            assert!(
                signature.check(&incoming(query, &headers, body), address).is_err(),
                "{query} {headers:?}"
            );
        }
    }
}
