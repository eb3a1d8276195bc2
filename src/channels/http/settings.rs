//! What the operator sets of an HTTP provider, read once and good after.

use super::answer::{Meaning, On5xx, Pointer, Rule};
use super::presets;
use super::status::{CallbackSettings, RawCallback};
use super::template::{Escape, InvalidTemplate, Place, Template, Values};
use crate::channels::gate::Pace;
use crate::channels::{Wording, text};
use crate::secret::Secret;
use axum::http::{HeaderName, HeaderValue, Method};
use base64::Engine;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

/// The most rules for answers, and the most places where a provider says why.
const RULES_MAX: usize = 64;
/// The longest sender, in characters.
const FROM_MAX_CHARS: usize = 64;

/// What the operator set of the channel.
#[derive(Clone)]
pub struct Settings {
    pub(super) url: Template,
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) body: Body,
    pub(super) from: String,
    /// The language of every message; empty: as the number or its owner has it.
    pub(super) language: String,
    pub(super) webotp: Option<String>,
    pub(super) answers: Vec<Rule>,
    pub(super) reference: Option<Pointer>,
    pub(super) reference_header: Option<HeaderName>,
    pub(super) reason: Vec<Pointer>,
    pub(super) on_5xx: On5xx,
    pub(super) delivered_on_accept: bool,
    pub(super) callbacks: bool,
    pub(super) callback: Option<CallbackSettings>,
    /// What must not be shown, should the provider repeat it.
    pub(super) secrets: Vec<Secret>,
    pace: Pace,
}

/// The body of a request.
#[derive(Clone)]
pub(super) enum Body {
    /// None.
    Nothing,
    /// A text as it is written, with its type.
    Text(Template, &'static str),
    /// Fields of a form.
    Form(Vec<(String, Template)>),
    /// JSON.
    Json(Tree),
}

/// JSON with templates as its texts.
#[derive(Clone)]
pub(super) enum Tree {
    Leaf(Template),
    Fixed(Value),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Json,
    Form,
    Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    url: String,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    user: Option<String>,
    password: Option<Secret>,
    content: Option<Content>,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    vars: BTreeMap<String, Secret>,
    #[serde(default)]
    from: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    webotp: String,
    #[serde(default)]
    answers: Vec<Rule>,
    reference: Option<Pointer>,
    reference_header: Option<String>,
    #[serde(default)]
    reason: Vec<Pointer>,
    #[serde(default)]
    on_5xx: On5xx,
    #[serde(default)]
    delivered_on_accept: bool,
    #[serde(default = "yes")]
    callbacks: bool,
    callback: Option<RawCallback>,
    concurrency: Option<NonZeroU32>,
    per_second: Option<NonZeroU32>,
}

fn post() -> String {
    "POST".to_owned()
}

fn yes() -> bool {
    true
}

/// A table, with the preset that it names below it.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
        let mut table = Map::deserialize(deserializer)?;
        if let Some(preset) = table.remove("preset") {
            table = presets::with(&preset, table).map_err(de::Error::custom)?;
        }
        let raw = Raw::deserialize(Value::Object(table)).map_err(de::Error::custom)?;
        Settings::read(raw).map_err(de::Error::custom)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http::Settings(…)")
    }
}

impl Settings {
    /// How much the provider is given at once.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Whether messages go out with the address of their callbacks.
    pub fn needs_callback_url(&self) -> bool {
        self.callbacks && self.holds(Place::CallbackUrl)
    }

    /// How its messages are worded.
    pub fn wording(&self) -> Wording<'_> {
        Wording { language: &self.language, webotp: self.webotp.as_deref() }
    }

    /// What may not be meant as it is set.
    pub fn doubt(&self) -> Option<String> {
        let confirms = self.delivered_on_accept || self.callback.is_some();
        let doubt = "nothing ever says that a message arrived, so each one expires or goes on to the next hop: describe \
                     its callbacks, or set delivered_on_accept = true";
        (!confirms).then(|| doubt.to_owned())
    }

    fn read(raw: Raw) -> Result<Settings, String> {
        let vars = &raw.vars;
        let url = read_url(&raw.url, vars)?;
        let method = match raw.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            other => return Err(format!("method is GET, POST or PUT, not {other:?}")),
        };
        let body = read_body(raw.content, raw.body, vars)?;
        if method == Method::GET && !matches!(body, Body::Nothing) {
            return Err("a GET has no body: put what belongs to the message into the url".to_owned());
        }
        let mut headers = raw.headers.iter().map(|(name, text)| read_header(name, text, vars));
        let mut headers = headers.by_ref().collect::<Result<Vec<_>, _>>()?;
        headers.extend(authorization(raw.user.as_deref(), raw.password.as_ref(), vars)?);
        let reference_header = raw.reference_header.map(|name| {
            HeaderName::try_from(&name).map_err(|_| format!("reference_header {name:?} is no header"))
        });
        let webotp = Some(raw.webotp).filter(|domain| !domain.is_empty());
        if let Some(domain) = webotp.as_ref().filter(|domain| !text::is_domain(domain)) {
            return Err(format!("webotp {domain:?} is no domain, such as \"example.com\""));
        }
        if raw.from.chars().count() > FROM_MAX_CHARS || raw.from.contains(char::is_control) {
            return Err(format!("from is {FROM_MAX_CHARS} characters at most, without control characters"));
        }
        if raw.answers.len() > RULES_MAX || raw.reason.len() > RULES_MAX {
            return Err(format!("answers and reason have {RULES_MAX} entries at most"));
        }
        if let Some(rule) = raw.answers.iter().find(|rule| rule.is_boundless()) {
            let means = if rule.means == Meaning::Accepted { ": not even a fault would be one" } else { "" };
            return Err(format!(
                "a rule of answers has neither status nor json, and so describes every answer{means}"
            ));
        }
        let concurrency = raw.concurrency.unwrap_or(Pace::default().concurrency);
        let callback = raw.callback.map(|callback| callback.read(vars)).transpose()?;
        let settings = Settings {
            url,
            method,
            headers,
            body,
            from: raw.from,
            language: raw.language,
            webotp,
            answers: raw.answers,
            reference: raw.reference,
            reference_header: reference_header.transpose()?,
            reason: raw.reason,
            on_5xx: raw.on_5xx,
            delivered_on_accept: raw.delivered_on_accept,
            callbacks: raw.callbacks,
            callback,
            secrets: raw.vars.into_values().chain(raw.password).collect(),
            pace: Pace { concurrency, per_second: raw.per_second },
        };
        settings.check()?;
        Ok(settings)
    }

    /// What only shows when everything is there.
    fn check(&self) -> Result<(), String> {
        if !self.holds(Place::Text) && !self.holds(Place::Code) {
            return Err("neither url nor body has {text} or {code}: nobody would get a code".to_owned());
        }
        if !self.holds(Place::To) && !self.holds(Place::ToDigits) {
            return Err("neither url nor body has {to} or {to_digits}: nobody would get it".to_owned());
        }
        if self.holds(Place::From) && self.from.is_empty() {
            return Err("from is not set: the sender that the provider shows".to_owned());
        }
        if !self.callbacks && self.needs_it_within() {
            return Err(
                "callbacks is false, and {callback_url} stands within another text: take it out".to_owned()
            );
        }
        let values = Values::awkward();
        let address = self.url.render(&values);
        url::Url::parse(&address).map_err(|error| format!("url cannot be used: {error}"))?;
        address.parse::<axum::http::Uri>().map_err(|error| format!("url cannot be used: {error}"))?;
        if let Body::Text(template, "application/json") = &self.body {
            serde_json::from_str::<serde::de::IgnoredAny>(&template.render(&values)).map_err(|error| {
                format!("body is no JSON once its places are filled ({error}): texts need their quotes")
            })?;
        }
        Ok(())
    }

    fn templates(&self) -> Vec<&Template> {
        let mut templates: Vec<_> = self.headers.iter().map(|(_, template)| template).collect();
        templates.push(&self.url);
        match &self.body {
            Body::Nothing => {}
            Body::Text(template, _) => templates.push(template),
            Body::Form(fields) => templates.extend(fields.iter().map(|(_, template)| template)),
            Body::Json(tree) => tree.add_leaves(&mut templates),
        }
        templates
    }

    fn holds(&self, place: Place) -> bool {
        self.templates().iter().any(|template| template.holds(place))
    }

    /// Whether the address of callbacks stands where it cannot just be left out.
    fn needs_it_within(&self) -> bool {
        let fields = matches!(self.body, Body::Form(_) | Body::Json(_));
        let whole = |template: &Template| fields && template.only() == Some(Place::CallbackUrl);
        self.templates().iter().any(|template| template.holds(Place::CallbackUrl) && !whole(template))
    }
}

impl Tree {
    fn read(value: Value, vars: &BTreeMap<String, Secret>) -> Result<Tree, InvalidTemplate> {
        Ok(match value {
            Value::String(text) => Tree::Leaf(Template::parse(&text, vars, Escape::Nothing)?),
            Value::Array(list) => {
                Tree::List(list.into_iter().map(|value| Tree::read(value, vars)).collect::<Result<_, _>>()?)
            }
            Value::Object(table) => {
                let field = |(name, value)| Ok::<_, InvalidTemplate>((name, Tree::read(value, vars)?));
                Tree::Table(table.into_iter().map(field).collect::<Result<_, _>>()?)
            }
            fixed => Tree::Fixed(fixed),
        })
    }

    fn add_leaves<'t>(&'t self, templates: &mut Vec<&'t Template>) {
        match self {
            Tree::Leaf(template) => templates.push(template),
            Tree::Fixed(_) => {}
            Tree::List(list) => list.iter().for_each(|tree| tree.add_leaves(templates)),
            Tree::Table(table) => table.iter().for_each(|(_, tree)| tree.add_leaves(templates)),
        }
    }

    /// The JSON for one message; `None` for a text that comes to nothing, which is left out.
    pub(super) fn render(&self, values: &Values) -> Option<Value> {
        Some(match self {
            Tree::Leaf(template) if template.only() == Some(Place::TtlS) => values.ttl_s.into(),
            Tree::Leaf(template) => rendered(template, values)?.into(),
            Tree::Fixed(value) => value.clone(),
            Tree::List(list) => list.iter().filter_map(|tree| tree.render(values)).collect(),
            Tree::Table(table) => {
                let field =
                    |(name, tree): &(String, Tree)| tree.render(values).map(|value| (name.clone(), value));
                Value::Object(table.iter().filter_map(field).collect())
            }
        })
    }
}

/// A field's value; `None` for a field that is set to nothing, or is to hold the address of callbacks and there is none.
pub(super) fn rendered(template: &Template, values: &Values) -> Option<String> {
    let no_callbacks = template.only() == Some(Place::CallbackUrl) && values.callback_url.is_none();
    (!template.is_empty() && !no_callbacks).then(|| template.render(values))
}

fn read_url(text: &str, vars: &BTreeMap<String, Secret>) -> Result<Template, String> {
    let url = Template::parse(text, vars, Escape::Address)?;
    let beginning = url.beginning().to_owned();
    let (scheme, rest) = beginning.split_once("://").unwrap_or(("", ""));
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if !matches!(scheme, "https" | "http") || host.is_empty() || host.contains(['@', '#']) {
        return Err("url must be an http or https address with a host, and without a user name".to_owned());
    }
    // What comes from callers must not decide where a message goes.
    let ends = rest.len() > host.len() || url.render(&Values::awkward()) == beginning;
    if ends { Ok(url) } else { Err("the host of url must be written out".to_owned()) }
}

fn read_header(
    name: &str,
    text: &str,
    vars: &BTreeMap<String, Secret>,
) -> Result<(HeaderName, Template), String> {
    let header = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no header"))?;
    let template =
        Template::parse(text, vars, Escape::Nothing).map_err(|error| format!("in header {name}: {error}"))?;
    if template.holds(Place::Text) {
        return Err(format!("header {name} has {{text}}: a message with line breaks cannot stand there"));
    }
    let value = template.render(&Values::awkward());
    HeaderValue::try_from(value).map_err(|_| format!("header {name} has control characters in it"))?;
    Ok((header, template))
}

/// `Authorization: Basic`, where a user is set.
fn authorization(
    user: Option<&str>,
    password: Option<&Secret>,
    vars: &BTreeMap<String, Secret>,
) -> Result<Option<(HeaderName, Template)>, String> {
    let (user, password) = match (user, password) {
        (None, None) => return Ok(None),
        (Some(user), Some(password)) => (user, password),
        _ => return Err("user and password belong together: give both, or neither".to_owned()),
    };
    let user = Template::fixed("user", user, vars)?;
    let password = Template::fixed("password", password.expose(), vars)?;
    let credentials = format!("{user}:{password}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
    let value = Template::parse(&format!("Basic {encoded}"), vars, Escape::Nothing)?;
    Ok(Some((axum::http::header::AUTHORIZATION, value)))
}

fn read_body(content: Option<Content>, body: Value, vars: &BTreeMap<String, Secret>) -> Result<Body, String> {
    let in_body = |error: InvalidTemplate| format!("in body: {error}");
    let text = |text: &str, escape| Template::parse(text, vars, escape).map_err(in_body);
    Ok(match (body, content) {
        (Value::Null, None) => Body::Nothing,
        (Value::String(body), Some(Content::Json)) => {
            Body::Text(text(&body, Escape::Json)?, "application/json")
        }
        (Value::String(body), Some(Content::Form)) => {
            Body::Text(text(&body, Escape::Form)?, "application/x-www-form-urlencoded")
        }
        (Value::String(body), Some(Content::Text)) => {
            Body::Text(text(&body, Escape::Nothing)?, "text/plain; charset=utf-8")
        }
        (Value::Object(fields), Some(Content::Form)) => {
            let field = |(name, value)| match value {
                Value::String(value) => Ok((name, text(&value, Escape::Nothing)?)),
                Value::Number(_) | Value::Bool(_) => Ok((name, text(&value.to_string(), Escape::Nothing)?)),
                _ => Err(format!("in body: {name} is no text, and a form has nothing else")),
            };
            Body::Form(fields.into_iter().map(field).collect::<Result<_, _>>()?)
        }
        (body @ Value::Object(_), None | Some(Content::Json)) => {
            Body::Json(Tree::read(body, vars).map_err(in_body)?)
        }
        (Value::Null, Some(_)) => return Err("content is set, and there is no body".to_owned()),
        _ => {
            return Err("body is a table, or a text with content = \"json\", \"form\" or \"text\"".to_owned());
        }
    })
}
