//! Answers: what the wire says.
//!
//! What a caller can name and mend is HTTP 200 with `ok: false`; HTTP statuses of their own are for transport and for
//! faults of ours.

use crate::engine::Failure;
use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use chappe_client::wire::{self, Balance, RequestStatus};
use chappe_core::{Money, Rejection};
use serde::Serialize;

/// Room for an answer with everything in it but a long payload, in bytes.
const ANSWER_BYTES: usize = 512;

/// What a method answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A request.
    Request(Box<RequestStatus>),
    /// Yes.
    True,
    /// What the account has left.
    Balance(Money),
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The rules say no.
    Rejected(Rejection),
    /// The engine could not do it.
    Engine(Failure),
    /// Spoken to directly, without TLS, instead of through a proxy.
    ProxyRequired,
    /// Not GET or POST.
    MethodNotAllowed,
    /// The body is over 64 KiB.
    BodyTooLarge,
    /// The body did not come in time.
    BodyTimeout,
    /// The body or the query string cannot be read: not UTF-8, not JSON, nested too deep, not an object.
    BodyInvalid,
    /// The body is neither a form nor JSON.
    ContentTypeUnsupported,
    /// The body is compressed.
    ContentEncodingUnsupported,
}

impl Refusal {
    /// The HTTP status and the error's name.
    fn parts(self) -> (StatusCode, std::borrow::Cow<'static, str>) {
        let (status, name) = match self {
            Refusal::Rejected(rejection) | Refusal::Engine(Failure::Rejected(rejection)) => {
                return (StatusCode::OK, rejection.name());
            }
            Refusal::Engine(Failure::Overloaded) => (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"),
            Refusal::Engine(Failure::Internal) => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
            Refusal::ProxyRequired => (StatusCode::FORBIDDEN, "PROXY_REQUIRED"),
            Refusal::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Refusal::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
            Refusal::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT"),
            Refusal::BodyInvalid => (StatusCode::BAD_REQUEST, "BODY_INVALID"),
            Refusal::ContentTypeUnsupported => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE_UNSUPPORTED")
            }
            Refusal::ContentEncodingUnsupported => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_ENCODING_UNSUPPORTED")
            }
        };
        (status, name.into())
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        Refusal::Rejected(rejection)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Engine(failure)
    }
}

/// The answer as bytes on the wire.
pub(super) fn respond(result: Result<Answer, Refusal>) -> Response<Body> {
    match result {
        Ok(Answer::Request(status)) => json(StatusCode::OK, &wire::Answer::Result(status)),
        Ok(Answer::True) => json(StatusCode::OK, &wire::Answer::Result(true)),
        Ok(Answer::Balance(balance)) => json(StatusCode::OK, &wire::Answer::Result(Balance { balance })),
        Err(refusal) => {
            let (status, name) = refusal.parts();
            let mut response = json(status, &wire::Answer::<()>::Error(name));
            if refusal == Refusal::MethodNotAllowed {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
            }
            response
        }
    }
}

fn json(status: StatusCode, answer: &impl Serialize) -> Response<Body> {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    // Plain data with text keys, into memory: cannot fail.
    let _ = serde_json::to_writer(&mut body, answer);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // A call may be a GET, and its answer is of this moment alone.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
