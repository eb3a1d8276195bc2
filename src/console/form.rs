//! Forms: what was sent, and what is wrong with it, field by field.

use super::trouble::Trouble;
use super::visit::Visit;
use crate::app::App;
use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest form, in bytes.
const FORM_MAX_BYTES: usize = 64 * 1024;

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The field.
    pub(super) name: &'static str,
    /// What to do about it.
    pub(super) text: String,
}

/// A form: the values of its fields, and what is wrong with them. Templates ask it for both.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    values: BTreeMap<String, String>,
    /// What is wrong, in the order in which it was found.
    pub(super) errors: Vec<Fault>,
}

impl Form {
    /// Reads a query string or the body of a form. Of the same field twice, the first counts; white space around a value
    /// does not.
    pub(super) fn parse(text: &[u8]) -> Form {
        let mut form = Form::default();
        for (name, value) in url::form_urlencoded::parse(text) {
            let value = value.replace('\0', "");
            form.values.entry(name.into_owned()).or_insert_with(|| value.trim().to_owned());
        }
        form
    }

    /// A form that begins with these values.
    pub(super) fn filled<const N: usize>(values: [(&str, String); N]) -> Form {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Form { values, errors: Vec::new() }
    }

    /// Fills in what no field holds yet.
    pub(super) fn fill<const N: usize>(&mut self, values: [(&str, String); N]) {
        for (name, value) in values {
            self.values.entry(name.to_owned()).or_insert(value);
        }
    }

    /// What a field holds; empty for none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// What a field for a day holds; empty for what is no day, which such a field cannot show.
    pub(super) fn day(&self, name: &str) -> &str {
        let value = self.value(name);
        let is_day = value.len() == 10 && value.parse::<jiff::civil::Date>().is_ok();
        if is_day { value } else { "" }
    }

    /// What is wrong with a field; empty for nothing.
    pub(super) fn error(&self, name: &str) -> &str {
        self.errors.iter().find(|fault| fault.name == name).map_or("", |fault| &fault.text)
    }

    /// Whether a box is ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Says what is wrong with a field.
    pub(super) fn fault(&mut self, name: &'static str, text: impl Into<String>) {
        self.errors.push(Fault { name, text: text.into() });
    }

    /// A text of at most `most` characters; a fault if it is longer, or missing where it is `needed`.
    pub(super) fn text(&mut self, name: &'static str, most: usize, needed: bool) -> String {
        let value = self.value(name).to_owned();
        if needed && value.is_empty() {
            self.fault(name, "Fill this in.");
        } else if value.chars().count() > most {
            self.fault(name, format!("Use {most} characters at most."));
        } else if value.chars().any(|char| char.is_control() && char != '\n' && char != '\r') {
            self.fault(name, "Leave out characters that cannot be seen.");
        }
        value
    }

    /// Whether nothing is wrong.
    pub(super) fn is_good(&self) -> bool {
        self.errors.is_empty()
    }
}

/// A path of this server, whatever was asked for: nobody is sent elsewhere.
pub(super) fn local(path: &str) -> String {
    let ours = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { path.to_owned() } else { "/overview".to_owned() }
}

/// A form by somebody who is not logged in.
#[derive(Debug)]
pub(super) struct Open(pub(super) Form);

impl FromRequest<Arc<App>> for Open {
    type Rejection = Trouble;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Open, Trouble> {
        Ok(Open(body(request).await?))
    }
}

/// A form by somebody who is logged in, from a page that was shown in the same session.
#[derive(Debug)]
pub(super) struct Posted {
    /// Who.
    pub(super) visit: Visit,
    /// What.
    pub(super) form: Form,
}

impl FromRequest<Arc<App>> for Posted {
    type Rejection = Trouble;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Posted, Trouble> {
        let (mut parts, rest) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, app).await?;
        let form = body(Request::from_parts(parts, rest)).await?;
        // Where the form comes from was looked at before: this is the second lock on the same door.
        if form.value("csrf") != visit.csrf() {
            return Err(Trouble::Foreign);
        }
        Ok(Posted { visit, form })
    }
}

async fn body(request: Request) -> Result<Form, Trouble> {
    let body = to_bytes(request.into_body(), FORM_MAX_BYTES).await.map_err(|_| Trouble::Invalid)?;
    Ok(Form::parse(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_for_a_day_shows_days_alone() {
        for (typed, shown) in [
            ("2026-11-23", "2026-11-23"),
            ("2026-02-30", ""),
            ("yesterday", ""),
            ("2026-11-23T10:00", ""),
            ("20261123", ""),
            ("", ""),
        ] {
            assert_eq!(Form::filled([("from", typed.to_owned())]).day("from"), shown, "{typed}");
        }
    }
}
