//! Pages for people: the console, and the sandbox, which is the built-in phone.
//!
//! A page of the console takes a `visit::Seat` (somebody at a customer's pages), a `visit::Visit` (somebody who is
//! logged in) or neither; a form takes a `form::Posted`. What it may not do is a `trouble::Trouble`. Around all of
//! them lies `shield::shield`.

mod assets;
mod audit_log;
mod budget;
mod budget_csv;
mod chart;
mod confirm;
mod cookies;
mod country;
mod csv;
mod example;
mod figure;
mod form;
mod funds;
mod guard;
mod invitations;
mod live;
mod login;
mod openapi;
mod operator;
mod overview;
mod path;
mod period;
mod profile;
mod reference;
mod reports;
mod request;
mod requests;
mod sandbox;
mod senders;
mod shell;
mod shield;
mod show;
mod signature;
mod team;
mod tokens;
mod trouble;
mod visit;
mod welcome;

pub use sandbox::{EXAMPLE_NUMBER, curl};

use crate::app::App;
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;

/// The routes of the pages.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let pages = Router::new()
        .merge(login::router())
        .merge(welcome::router())
        .merge(invitations::router())
        .merge(audit_log::router())
        .merge(requests::router())
        .merge(request::router())
        .merge(reports::router())
        .merge(overview::router())
        .merge(reference::router())
        .merge(live::router())
        .merge(tokens::router())
        .merge(senders::router())
        .merge(team::router())
        .merge(profile::router())
        .merge(budget::router())
        .merge(funds::router())
        .merge(operator::router())
        .layer(from_fn_with_state(app.clone(), shield::shield));
    pages.merge(sandbox::router(app)).merge(assets::router()).merge(crate::funding::webhook::router())
}

/// The landing page, for a browser that asks for `/`.
pub async fn landing(app: Arc<App>, peer: SocketAddr, request: Request) -> Response {
    let page = async |request: Request| {
        let (parts, _) = request.into_parts();
        reference::landing(&app, parts).await.into_response()
    };
    shield::around(&app, peer, request, page).await
}
