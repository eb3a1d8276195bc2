//! The API reference, and the landing page: what everybody may see. The reference is made of the OpenAPI document, so that
//! the two cannot differ.

use super::example::base_url;
use super::openapi::{Document, Operation, Path, Schema, compact};
use super::sandbox::{EXAMPLE_NUMBER, curl};
use super::shell::show;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::app::App;
use crate::wire::OPENAPI;
use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use chappe_core::price::Prices;
use chappe_core::{Mode, Money};
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

/// What stands for a token where nobody is known.
const TOKEN: &str = "YOUR_TOKEN";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/reference", get(reference))
}

/// Where somebody who is logged in goes; empty for others.
struct Home(String);

impl FromRequestParts<Arc<App>> for Home {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Home, Infallible> {
        let known = Visit::from_request_parts(parts, app).await.is_ok();
        Ok(Home(if known { "/overview".to_owned() } else { String::new() }))
    }
}

#[derive(Template)]
#[template(path = "landing.html")]
struct LandingPage {
    curl: String,
    answer: String,
    sandbox: bool,
    home: String,
    open: bool,
    price: String,
}

/// The landing page.
pub(super) async fn landing(app: &Arc<App>, mut parts: Parts) -> Result<Response, Trouble> {
    let Home(home) = match Home::from_request_parts(&mut parts, app).await {
        Ok(home) => home,
        Err(never) => match never {},
    };
    let dev = app.settings.dev;
    // On a developer's machine the line works as it stands, as the sandbox shows it.
    let token = if dev { app.tokens.any_good(Mode::Live, app.clock.now()) } else { None };
    let token = token.as_ref().map_or(TOKEN, |token| &token.text);
    let page = LandingPage {
        curl: curl(&base_url(app, &parts.headers), token, EXAMPLE_NUMBER),
        answer: example("Sent")?.replace(",\"payload\":\"order 17\"", ""),
        sandbox: dev,
        home,
        open: app.settings.console.sign_up,
        price: price_of(&app.settings.rules.prices),
    };
    let mut response = show(&page)?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// What a code costs; empty where codes are free.
fn price_of(prices: &Prices) -> String {
    let default = prices.default_price();
    let within = |(least, most): (Money, Money), (_, price)| (least.min(price), most.max(price));
    let (least, most) = prices.entries().fold((default, default), within);
    match (least, most) {
        (_, Money::ZERO) => String::new(),
        (least, most) if least == most => format!("{most} per code"),
        (least, most) => format!("{least} to {most} per code, by where it goes"),
    }
}

#[derive(Template)]
#[template(path = "reference.html")]
struct ReferencePage {
    base_url: String,
    token: &'static str,
    home: String,
    methods: Vec<Method>,
    statuses: Vec<Statuses>,
    errors: Vec<Meaning>,
}

struct Method {
    name: String,
    summary: String,
    paragraphs: Vec<Html>,
    parameters: Vec<Parameter>,
    curl: String,
    answer: String,
}

struct Parameter {
    name: String,
    need: String,
    html: String,
}

struct Html {
    html: String,
}

struct Statuses {
    title: &'static str,
    rows: Vec<Meaning>,
}

/// What a name means.
#[derive(Debug)]
struct Meaning {
    name: String,
    html: String,
}

async fn reference(
    State(app): State<Arc<App>>,
    Home(home): Home,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let document = document()?;
    let base_url = base_url(&app, &headers);
    show(&ReferencePage {
        methods: methods(&document, &base_url),
        statuses: vec![
            Statuses { title: "Delivery", rows: meanings(&document, "DeliveryStatus") },
            Statuses { title: "Verification", rows: meanings(&document, "VerificationStatus") },
        ],
        errors: errors(&document),
        base_url,
        token: TOKEN,
        home,
    })
}

fn document() -> Result<Document<'static>, Trouble> {
    serde_json::from_str(OPENAPI).map_err(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be read");
        Trouble::Internal
    })
}

/// An example of the document, on one line, about the number that examples are about.
fn example(name: &str) -> Result<String, Trouble> {
    let document = document()?;
    let example = document.components.examples.get(name).ok_or(Trouble::Internal)?;
    Ok(ours(example.value.get()))
}

/// Examples of the document are about a number that may be somebody's; those on pages are about one that works.
fn ours(json: &str) -> String {
    compact(json).replace("+391234567890", EXAMPLE_NUMBER).replace("391234567890", EXAMPLE_NUMBER)
}

fn methods(document: &Document<'_>, base_url: &str) -> Vec<Method> {
    let of = |(path, method): &(String, Path)| {
        let (name, operation) = (path.trim_start_matches('/'), method.post.as_ref()?);
        Some(Method {
            name: name.to_owned(),
            summary: method.summary.clone(),
            paragraphs: method.description.split("\n\n").map(|text| Html { html: markup(text) }).collect(),
            parameters: parameters(document, operation),
            curl: call(document, operation, &format!("{base_url}/{name}")),
            answer: answer(document, operation).unwrap_or_default(),
        })
    };
    document.paths.0.iter().filter_map(of).collect()
}

fn parameters(document: &Document<'_>, operation: &Operation) -> Vec<Parameter> {
    let components = &document.components;
    let body = operation.request_body.as_ref().and_then(|body| components.request_bodies.get(body.name()));
    let schema = body.and_then(|body| components.schemas.get(body.json()?.schema.name()));
    let in_body = schema.into_iter().flat_map(|schema| {
        // The token is spoken of once, for all methods.
        let spoken_of = |(name, _): &&(String, Schema)| name != "access_token";
        schema.properties.0.iter().filter(spoken_of).map(|(name, property)| {
            let known = components.schemas.get(property.name());
            let described = Some(property).filter(|property| !property.description.is_empty()).or(known);
            Parameter {
                name: name.clone(),
                need: need(schema, name),
                html: markup(described.map_or("", |schema| &schema.description)),
            }
        })
    });
    let in_head = operation.parameters.iter().filter_map(|parameter| {
        let parameter = components.parameters.get(parameter.name())?;
        let html = markup(&parameter.description);
        Some(Parameter { name: parameter.name.clone(), need: "optional header".to_owned(), html })
    });
    in_body.chain(in_head).collect()
}

/// Whether a parameter is needed.
fn need(schema: &Schema, name: &str) -> String {
    if schema.required.iter().any(|required| required == name) {
        return "required".to_owned();
    }
    let one_of: Vec<&String> = schema.any_of.iter().flat_map(|choice| &choice.required).collect();
    if !one_of.iter().any(|one| *one == name) {
        return "optional".to_owned();
    }
    let others = one_of.into_iter().filter(|one| *one != name);
    others.fold("this".to_owned(), |text, other| format!("{text} or {other}"))
}

/// A call, as a terminal takes it, with the parameters of the document's first example.
fn call(document: &Document<'_>, operation: &Operation, url: &str) -> String {
    let components = &document.components;
    let body = operation.request_body.as_ref().and_then(|body| components.request_bodies.get(body.name()));
    let example = body.and_then(|body| body.json()?.examples.0.first());
    let example = example.and_then(|(_, example)| components.examples.get(example.name()));
    let values = example.map(|example| ours(example.value.get()));
    let values: super::openapi::Fields<serde_json::Value> =
        values.and_then(|values| serde_json::from_str(&values).ok()).unwrap_or_default();
    let mut text = format!("curl {url} \\\n  -H 'Authorization: Bearer {TOKEN}'");
    for (name, value) in values.0 {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
        let _ = match value.bytes().all(plain) {
            true => write!(text, " \\\n  -d {name}={value}"),
            false => write!(text, " \\\n  --data-urlencode '{name}={value}'"),
        };
    }
    if !text.contains(" -d ") {
        // Without parameters nothing else would make it a POST.
        text.push_str(" \\\n  -X POST");
    }
    text
}

fn answer(document: &Document<'_>, operation: &Operation) -> Option<String> {
    let components = &document.components;
    let response = components.responses.get(operation.responses.get("200")?.name())?;
    let (_, example) = response.json()?.examples.0.first()?;
    Some(ours(components.examples.get(example.name())?.value.get()))
}

/// What each value of a status means: the document says it as "`name`: meaning", one after the other.
fn meanings(document: &Document<'_>, schema: &str) -> Vec<Meaning> {
    let status = document.components.schemas.get(schema).and_then(|schema| schema.properties.get("status"));
    let Some(status) = status else { return Vec::new() };
    let mark = |name: &str| format!("`{name}`: ");
    let meaning = |name: &String| {
        let (_, rest) = status.description.split_once(&mark(name))?;
        let ends = status.values.iter().filter_map(|other| rest.find(&mark(other)));
        let text = rest.get(..ends.min().unwrap_or(rest.len()))?;
        Some(Meaning { name: name.clone(), html: markup(text.trim()) })
    };
    status.values.iter().filter_map(meaning).collect()
}

/// Every name that a refusal can have, in the order of the document.
fn errors(document: &Document<'_>) -> Vec<Meaning> {
    let components = &document.components;
    let is_error =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte == b'n');
    let refusals = components.schemas.0.iter().filter(|(name, _)| is_error(name));
    let refusals =
        refusals.map(|(name, schema)| Meaning { name: name.clone(), html: markup(&schema.description) });
    // What is wrong before or beside the method has an answer of its own.
    let faults = components.responses.0.iter().flat_map(|(name, response)| {
        let answer = components.schemas.get(&format!("{name}Answer"));
        let names =
            answer.and_then(|answer| answer.properties.get("error")).map_or(Vec::new(), Schema::texts);
        names.into_iter().map(|name| Meaning { name: name.to_owned(), html: markup(&response.description) })
    });
    refusals.chain(faults).collect()
}

/// A text of the document as HTML: escaped, with what stands in backticks as code and between double stars in bold.
fn markup(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 32);
    for (at, part) in text.split('`').enumerate() {
        let code = at % 2 == 1;
        if code {
            html.push_str("<code>");
        }
        for (at, part) in part.split("**").enumerate() {
            html.push_str(match at {
                0 => "",
                at if at % 2 == 1 => "<b>",
                _ => "</b>",
            });
            escape(&mut html, part);
        }
        if code {
            html.push_str("</code>");
        }
    }
    html
}

fn escape(html: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_what_a_caller_needs() {
        let document = document().unwrap();
        let methods = methods(&document, "https://codes.example");
        let names: Vec<_> = methods.iter().map(|method| method.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "checkSendAbility",
                "sendVerificationMessage",
                "checkVerificationStatus",
                "revokeVerificationMessage",
                "getBalance"
            ]
        );
        for method in &methods {
            assert!(method.curl.starts_with(&format!("curl https://codes.example/{}", method.name)));
            assert!(method.answer.starts_with("{\"ok\":true,\"result\":"), "{}", method.answer);
            assert!(method.parameters.iter().all(|parameter| !parameter.html.is_empty()), "{}", method.name);
        }
        let send = &methods[1];
        let needs: Vec<_> =
            send.parameters.iter().map(|one| (one.name.as_str(), one.need.as_str())).collect();
        assert_eq!(
            needs,
            [
                ("phone_number", "required"),
                ("request_id", "optional"),
                ("sender_username", "optional"),
                ("code", "this or code_length"),
                ("code_length", "this or code"),
                ("callback_url", "optional"),
                ("payload", "optional"),
                ("ttl", "optional"),
                ("Idempotency-Key", "optional header"),
            ]
        );
        assert!(send.curl.contains("-d phone_number=9996600100"), "{}", send.curl);
        assert!(send.curl.contains("--data-urlencode 'payload=order 17'"), "{}", send.curl);
        assert!(methods[4].curl.ends_with("-X POST"), "{}", methods[4].curl);
    }

    #[test]
    fn every_status_and_error_has_a_meaning() {
        let document = document().unwrap();
        let names = |rows: &[Meaning]| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        let delivery = meanings(&document, "DeliveryStatus");
        assert_eq!(names(&delivery), ["sent", "delivered", "read", "expired", "revoked"]);
        assert_eq!(delivery[0].html, "on its way.");
        let verification = meanings(&document, "VerificationStatus");
        let expected = ["code_valid", "code_invalid", "code_max_attempts_exceeded", "expired"];
        assert_eq!(names(&verification), expected);
        let errors = errors(&document);
        assert!(errors.len() > 30 && errors.iter().all(|error| !error.html.is_empty()), "{errors:?}");
        for name in ["FLOOD_WAIT_n", "BODY_INVALID", "CONTENT_TYPE_UNSUPPORTED", "OVERLOADED"] {
            assert!(errors.iter().any(|error| error.name == name), "{name}");
        }
    }

    #[test]
    fn markup_escapes_whatever_it_marks() {
        assert_eq!(markup("a `b<c` & **d**"), "a <code>b&lt;c</code> &amp; <b>d</b>");
        assert_eq!(markup("<script>'\"`"), "&lt;script&gt;&#39;&quot;<code></code>");
    }
}
