//! An SMS provider with an HTTP API, whichever it is: what goes out and what comes back is configuration.

mod answer;
mod examine;
mod presets;
mod settings;
mod status;
mod template;

pub use settings::Settings;

use super::callback::Callbacks;
use super::text::Texts;
use super::{Addressee, Errand, Lent, Said, Wording};
use crate::net::provider::{Failure, Provider};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderValue, Request};
use bytes::Bytes;
use chappe_core::book::Job;
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Phone};
use settings::{Body, rendered};
use std::fmt;
use std::sync::Arc;
use template::Values;

/// The channel.
pub struct Http {
    name: ChannelName,
    settings: Settings,
    texts: Arc<Texts>,
    callbacks: Callbacks,
    provider: Provider,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({})", self.name)
    }
}

impl Http {
    pub(super) fn new(name: ChannelName, settings: Settings, lent: &Lent) -> Http {
        let Lent { texts, callbacks, .. } = lent.clone();
        Http { name, settings, texts, callbacks, provider: Provider::new() }
    }

    pub(super) async fn carry_out(&self, errand: Errand, job: &Job, addressee: Option<&Addressee>) -> Said {
        match errand {
            Errand::Deliver => self.deliver(job, addressee).await.into(),
            // It tells by itself, or not at all.
            Errand::Poll => ChannelEvent::Accepted { reference: job.reference.clone(), poll_at: None }.into(),
            Errand::Withdraw => {
                ChannelEvent::Failed { reason: "what the provider has cannot be taken back".to_owned() }
                    .into()
            }
        }
    }

    async fn deliver(&self, job: &Job, addressee: Option<&Addressee>) -> Vec<ChannelEvent> {
        let Some(code) = &job.code else {
            return vec![failed("the code is not there any more")];
        };
        let Wording { language, webotp } = self.settings.wording();
        let wanted = match language {
            "" => addressee.map_or("", |addressee| &addressee.language),
            fixed => fixed,
        };
        let language = self.texts.language(wanted, job.phone);
        let values = Values {
            to_digits: job.phone.to_string(),
            text: self.texts.render(language, code.expose(), webotp),
            code: code.expose().to_owned(),
            from: self.settings.from.clone(),
            id: format!("{}-{}", job.request, job.hop),
            callback_url: self.callbacks.url_with(self.settings.callbacks, job),
            ttl_s: job.until.since(job.asked_at).as_secs().max(1),
        };
        let request = match self.request(&values) {
            Ok(request) => request,
            Err(reason) => return vec![failed(reason)],
        };
        match self.provider.call(request).await {
            Ok(answer) => {
                answer::judge(&self.settings, &answer, |words| self.scrub(words, &values, job.phone))
            }
            Err(failure @ Failure::NotSent(_)) => vec![answer::unreachable(failure.to_string())],
            Err(failure @ Failure::NoAnswer(_)) => {
                vec![ChannelEvent::Uncertain { reason: failure.to_string() }]
            }
        }
    }

    fn request(&self, values: &Values) -> Result<Request<Bytes>, &'static str> {
        let (body, content_type) = match &self.settings.body {
            Body::Nothing => (String::new(), None),
            Body::Text(template, kind) => (template.render(values), Some(*kind)),
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, template) in fields {
                    form.extend_pairs(rendered(template, values).map(|value| (name, value)));
                }
                (form.finish(), Some("application/x-www-form-urlencoded"))
            }
            Body::Json(tree) => {
                (tree.render(values).unwrap_or_default().to_string(), Some("application/json"))
            }
        };
        let mut request = Request::builder()
            .method(self.settings.method.clone())
            .uri(self.settings.url.render(values))
            .body(Bytes::from(body))
            .map_err(|_| "it makes no address that can be called")?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        headers.extend(content_type.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
        for (name, template) in &self.settings.headers {
            let value = HeaderValue::try_from(template.render(values));
            headers.insert(name, value.map_err(|_| "it makes a header that cannot be sent")?);
        }
        Ok(request)
    }

    /// A provider's words about a failure, without what must not stand in a timeline, should they repeat it.
    fn scrub(&self, words: &str, values: &Values, phone: Phone) -> String {
        let mut words = words.replace(&values.to_digits, &phone.masked());
        for secret in self.settings.secrets.iter().filter(|secret| secret.expose().len() >= 6) {
            words = words.replace(secret.expose(), "…");
        }
        mask_digits(&words.replace(&values.text, "…").replace(&values.code, "…"))
    }
}

/// Hides what may be a phone number, however it is spelled without spaces: seven digits or more in a row.
fn mask_digits(words: &str) -> String {
    let mut masked = String::new();
    let mut digits = String::new();
    for char in words.chars().map(Some).chain([None]) {
        if let Some(digit) = char.filter(char::is_ascii_digit) {
            digits.push(digit);
            continue;
        }
        masked.push_str(if digits.len() < 7 { &digits } else { "…" });
        digits.clear();
        masked.extend(char);
    }
    masked
}

fn failed(reason: &str) -> ChannelEvent {
    ChannelEvent::Failed { reason: reason.to_owned() }
}
