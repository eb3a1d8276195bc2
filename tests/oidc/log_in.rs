//! Log-ins that come about, and those that the person or the operator stands in the way of.

use super::issuer::{Issuer, Signer};
use super::{House, settings};
use chappe::oidc::{OidcError, PENDING_MAX};
use chappe::secret::Secret;
use chappe_core::Phone;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

const METADATA: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn whoever_agrees_is_known_by_each_kind_of_key() {
    for algorithm in ["RS256", "ES256", "ES256K", "EdDSA"] {
        let issuer = Issuer::signing(algorithm).await;
        let house = House::believing(&issuer);
        let begun = house.oidc.begin("/requests?day=7").await.unwrap();
        let query = issuer.agree(&begun.redirect_url);
        let (identity, then) = house.oidc.finish(&begun.cookie, &query).await.unwrap();
        assert_eq!((identity.subject.as_str(), then.as_str()), ("4711", "/requests?day=7"), "{algorithm}");
        assert_eq!(identity.name.as_deref(), Some("Claude Chappe"));
        assert_eq!(identity.phone, Phone::parse("391234567890"));
    }
}

#[tokio::test]
async fn the_browser_takes_along_what_binds_the_answer_and_no_secret() {
    let issuer = Issuer::simple().await;
    issuer.manners().metadata = json!({"authorization_endpoint": format!("{}/auth?tenant=1", issuer.url)});
    let house = House::believing(&issuer);
    let begun = house.oidc.begin("/").await.unwrap();
    let url = Url::parse(&begun.redirect_url).unwrap();
    let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(asked["tenant"], "1", "what the issuer's address held stays");
    assert_eq!(asked["scope"], "openid profile phone");
    assert_eq!(asked["redirect_uri"], "https://codes.example/login/telegram/callback");
    issuer.agree(&begun.redirect_url);
    let exchange = house.oidc.finish(&begun.cookie, &issuer.agree(&begun.redirect_url)).await;
    exchange.unwrap();
    let (_, form) = issuer.manners().exchanged.take().unwrap();
    assert!(!begun.redirect_url.contains(&form["code_verifier"]));
    assert!(!begun.redirect_url.contains("cret"));
    let again = house.oidc.begin("/").await.unwrap();
    let again: BTreeMap<_, _> = Url::parse(&again.redirect_url).unwrap().query_pairs().into_owned().collect();
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(asked[name], again[name], "{name}");
    }
}

#[tokio::test]
async fn the_secret_is_shown_as_the_issuer_takes_it() {
    for (methods, in_body) in [
        (json!(null), false),
        (json!(["client_secret_post", "client_secret_basic"]), false),
        (json!(["private_key_jwt", "client_secret_post"]), true),
    ] {
        let issuer = Issuer::simple().await;
        issuer.manners().metadata = json!({"token_endpoint_auth_methods_supported": methods});
        House::believing(&issuer).log_in(&issuer).await.unwrap();
        let (header, form) = issuer.manners().exchanged.take().unwrap();
        assert_eq!((header.is_none(), form.contains_key("client_secret")), (in_body, in_body), "{methods}");
    }
}

#[tokio::test]
async fn metadata_and_keys_are_read_once_for_many() {
    let issuer = Issuer::simple().await;
    let house = House::believing(&issuer);
    let (one, two) = tokio::join!(house.log_in(&issuer), house.log_in(&issuer));
    assert!(one.is_ok() && two.is_ok());
    house.log_in(&issuer).await.unwrap();
    assert_eq!((issuer.calls(METADATA), issuer.calls("/keys"), issuer.calls("/token")), (1, 1, 3));
}

#[tokio::test]
async fn keys_that_changed_are_read_anew_and_log_nobody_out() {
    for kid in ["oidc-2", "oidc-1"] {
        let issuer = Issuer::simple().await;
        let house = House::believing(&issuer);
        house.log_in(&issuer).await.unwrap();
        issuer.manners().keys = vec![Signer::new("ES256K", kid)];
        house.log_in(&issuer).await.unwrap();
        assert_eq!(issuer.calls("/keys"), 2);
    }
}

#[tokio::test]
async fn a_person_who_says_no_is_told_so() {
    let issuer = Issuer::simple().await;
    let house = House::believing(&issuer);
    let begun = house.oidc.begin("/").await.unwrap();
    let state = state_of(&issuer.agree(&begun.redirect_url));
    for (error, expected) in [
        ("access_denied", OidcError::Denied),
        ("temporarily_unavailable", OidcError::Refused("temporarily_unavailable".to_owned())),
        ("a%0d%0ab%20%22c", OidcError::Refused("ab\"c".to_owned())),
    ] {
        let query = format!("error={error}&error_description=x&state={state}");
        assert_eq!(house.oidc.finish(&begun.cookie, &query).await.unwrap_err(), expected);
    }
    let long = format!("error={}&state={state}", "x".repeat(500));
    let OidcError::Refused(name) = house.oidc.finish(&begun.cookie, &long).await.unwrap_err() else {
        panic!("it is a refusal");
    };
    assert_eq!(name.len(), 64, "a log line stays short");
    assert_eq!(issuer.calls("/token"), 0);
}

#[tokio::test]
async fn only_the_browser_that_began_can_finish_and_before_anything_is_asked() {
    let issuer = Issuer::simple().await;
    let house = House::believing(&issuer);
    let (mine, other) = (house.oidc.begin("/").await.unwrap(), house.oidc.begin("/").await.unwrap());
    let query = issuer.agree(&mine.redirect_url);
    let state = state_of(&query);
    for (cookie, query, expected) in [
        ("", query.as_str(), OidcError::Unbegun),
        ("AAAA", &query, OidcError::Unbegun),
        (&other.cookie, &query, OidcError::StateMismatch),
        (&mine.cookie, "code=x&state=guessed", OidcError::StateMismatch),
        (&mine.cookie, "error=access_denied&state=guessed", OidcError::StateMismatch),
        (&mine.cookie, "error=access_denied", OidcError::BadCallback("it has no state")),
        (&mine.cookie, "", OidcError::BadCallback("it has no state")),
        (&mine.cookie, &format!("state={state}"), OidcError::BadCallback("it has no code")),
        (&mine.cookie, &format!("{query}&state=guessed"), OidcError::BadCallback("it says something twice")),
        (&mine.cookie, &format!("{query}&code=x"), OidcError::BadCallback("it says something twice")),
        (&mine.cookie, &format!("{query}&x={}", "x".repeat(9_000)), OidcError::BadCallback("it is too long")),
        (&mine.cookie, &format!("{query}&iss=https%3A%2F%2Fevil.example"), OidcError::StateMismatch),
    ] {
        assert_eq!(house.oidc.finish(cookie, query).await.unwrap_err(), expected, "{query}");
    }
    assert_eq!(issuer.calls("/token"), 0);
    house.oidc.finish(&mine.cookie, &query).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_names_itself_must_do_so() {
    let issuer = Issuer::simple().await;
    issuer.manners().metadata = json!({"authorization_response_iss_parameter_supported": true});
    let house = House::believing(&issuer);
    let begun = house.oidc.begin("/").await.unwrap();
    let query = issuer.agree(&begun.redirect_url);
    let nameless = house.oidc.finish(&begun.cookie, &query).await.unwrap_err();
    assert_eq!(nameless, OidcError::BadCallback("it names no issuer"));
    let named = format!("{query}&iss={}", issuer.url);
    house.oidc.finish(&begun.cookie, &named).await.unwrap();
}

#[tokio::test]
async fn a_log_in_has_its_time_and_its_code_is_good_once() {
    let issuer = Issuer::simple().await;
    let house = House::believing(&issuer);
    let begun = house.oidc.begin("/").await.unwrap();
    let query = issuer.agree(&begun.redirect_url);
    house.oidc.finish(&begun.cookie, &query).await.unwrap();
    assert_eq!(house.oidc.finish(&begun.cookie, &query).await.unwrap_err(), OidcError::CodeRefused);
    house.clock.advance(PENDING_MAX + Duration::from_secs(1));
    assert_eq!(house.oidc.finish(&begun.cookie, &query).await.unwrap_err(), OidcError::Unbegun);
}

/// Somebody who came by a person's code cannot use it: it is bound to the verifier in that person's browser.
#[tokio::test]
async fn a_stolen_code_is_worth_nothing_in_another_browser() {
    let issuer = Issuer::simple().await;
    let house = House::believing(&issuer);
    let (victim, thief) = (house.oidc.begin("/").await.unwrap(), house.oidc.begin("/").await.unwrap());
    let stolen = issuer.agree(&victim.redirect_url);
    let code = stolen.split_once("&state").unwrap().0;
    let query = format!("{code}&state={}", state_of(&issuer.agree(&thief.redirect_url)));
    assert_eq!(house.oidc.finish(&thief.cookie, &query).await.unwrap_err(), OidcError::CodeRefused);
}

#[tokio::test]
async fn a_wrong_secret_is_the_operators_to_mend() {
    let issuer = Issuer::simple().await;
    let mut settings = settings(&issuer);
    settings.client_secret = Secret::from("wrong");
    let refused = House::set_up(settings).log_in(&issuer).await.unwrap_err();
    assert_eq!(refused, OidcError::ClientRefused("invalid_client".to_owned()));
    assert!(refused.message().contains("not set up rightly"), "{}", refused.message());
    assert!(!format!("{refused} {refused:?}").contains("wrong"), "{refused:?}");
}

fn state_of(query: &str) -> String {
    query.split_once("state=").unwrap().1.to_owned()
}
