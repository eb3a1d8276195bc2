//! Issuers that are wrong, broken, slow, or not who they say they are.

use super::issuer::{Issuer, NOW_S, Signer, compact, endless, json_answer, redirect, stalled};
use super::{House, settings};
use aws_lc_rs::hmac;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chappe::oidc::{OidcError, TokenFault};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const METADATA: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn claims_that_are_wrong_let_nobody_in() {
    for (claims, fault) in [
        (json!({"iss": "https://oauth.telegram.org"}), TokenFault::Issuer),
        (json!({"aud": "987654321"}), TokenFault::Audience),
        (json!({"azp": "987654321"}), TokenFault::Audience),
        (json!({"nonce": "another"}), TokenFault::Nonce),
        (json!({"exp": NOW_S - 60}), TokenFault::Expired),
        (json!({"iat": NOW_S + 61}), TokenFault::NotYetValid),
        (json!({"sub": ""}), TokenFault::Malformed),
    ] {
        let issuer = Issuer::simple().await;
        issuer.claims(claims);
        let refused = House::believing(&issuer).log_in(&issuer).await.unwrap_err();
        assert_eq!(refused, OidcError::Token(fault));
    }
}

#[tokio::test]
async fn a_nonce_may_be_missing_where_the_issuer_checks_verifiers() {
    let issuer = Issuer::simple().await;
    issuer.claims(json!({"nonce": null}));
    House::believing(&issuer).log_in(&issuer).await.unwrap();
    for methods in [json!(null), json!([]), json!(["plain"])] {
        issuer.manners().metadata = json!({"code_challenge_methods_supported": methods});
        let refused = House::believing(&issuer).log_in(&issuer).await.unwrap_err();
        assert_eq!(refused, OidcError::Token(TokenFault::NonceMissing), "{methods}");
    }
}

#[tokio::test]
async fn signatures_that_are_none_let_nobody_in() {
    type Forge = fn(serde_json::Value, &[Signer]) -> String;
    let forgeries: [(&str, Forge, TokenFault); 7] = [
        (
            "none",
            |claims, _| compact(&json!({"alg": "none"}), &claims, |_| Vec::new()),
            TokenFault::Algorithm,
        ),
        (
            "a shared secret that is the public key",
            |claims, keys| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &keys[0].public_octets());
                let header = json!({"alg": "HS256", "kid": keys[0].kid});
                compact(&header, &claims, |signed| hmac::sign(&key, signed).as_ref().to_vec())
            },
            TokenFault::Algorithm,
        ),
        (
            "a key that the issuer does not have",
            |claims, _| Signer::new("EdDSA", "unknown").token(&claims),
            TokenFault::KeyUnknown,
        ),
        (
            "another key under the issuer's name",
            |claims, keys| Signer::new("EdDSA", &keys[0].kid).token(&claims),
            TokenFault::Signature,
        ),
        (
            "a key of another kind under the issuer's name",
            |claims, keys| Signer::new("ES256", &keys[0].kid).token(&claims),
            TokenFault::KeyUnknown,
        ),
        (
            "the second half is missing",
            |claims, keys| {
                let token = keys[0].token(&claims);
                token[..token.len() / 2].to_owned()
            },
            TokenFault::Malformed,
        ),
        (
            "another's claims under this signature",
            |claims, keys| {
                let signed = keys[0].token(&claims);
                let forged = keys[0].token(&json!({"sub": "1"}));
                let (head, _) = forged.rsplit_once('.').unwrap();
                format!("{head}.{}", signed.rsplit_once('.').unwrap().1)
            },
            TokenFault::Signature,
        ),
    ];
    for (what, forge, fault) in forgeries {
        let issuer = Issuer::simple().await;
        issuer.mints(forge);
        let refused = House::believing(&issuer).log_in(&issuer).await.unwrap_err();
        assert_eq!(refused, OidcError::Token(fault), "{what}");
    }
}

#[tokio::test]
async fn keys_that_nobody_has_are_looked_for_once_a_minute() {
    let issuer = Issuer::simple().await;
    let house = House::believing(&issuer);
    issuer.mints(|claims, _| Signer::new("EdDSA", "unknown").token(&claims));
    for (reads, wait) in [(2, 0), (2, 59), (3, 1), (3, 0)] {
        house.clock.advance(Duration::from_secs(wait));
        let refused = house.log_in(&issuer).await.unwrap_err();
        assert_eq!(refused, OidcError::Token(TokenFault::KeyUnknown));
        assert_eq!(issuer.calls("/keys"), reads);
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_the_one_that_was_set_is_not_believed() {
    let issuer = Issuer::simple().await;
    let plain = "http://issuer.example/auth";
    for (told, why) in [
        (json!({"issuer": format!("{}/", issuer.url)}), "it names another issuer than console.oidc.issuer"),
        (json!({"issuer": "https://evil.example"}), "it names another issuer than console.oidc.issuer"),
        (json!({"authorization_endpoint": plain}), "an address in it is not https"),
        (json!({"token_endpoint": plain}), "an address in it is not https"),
        (json!({"jwks_uri": "file:///etc/passwd"}), "an address in it is not https"),
        (json!({"jwks_uri": null}), "it is not the JSON that OpenID Connect Discovery describes"),
        (
            json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
            "it takes no client by a secret",
        ),
    ] {
        issuer.manners().metadata = told;
        let refused = House::believing(&issuer).oidc.begin("/").await.unwrap_err();
        assert_eq!(refused, OidcError::Metadata(why));
    }
}

#[tokio::test]
async fn on_this_machine_an_issuer_without_tls_is_for_development_alone() {
    let issuer = Issuer::simple().await;
    let mut settings = settings(&issuer);
    settings.plain_loopback = false;
    let refused = House::set_up(settings).oidc.begin("/").await.unwrap_err();
    assert_eq!(refused, OidcError::Metadata("an address in it is not https"));
}

#[tokio::test]
async fn an_issuer_that_is_broken_anywhere_is_told_from_one_that_refuses() {
    for path in [METADATA, "/keys", "/token"] {
        let issuer = Issuer::simple().await;
        let elsewhere = format!("{}/elsewhere", issuer.url);
        type Broken = Box<dyn Fn() -> axum::response::Response + Send + Sync>;
        let broken: [(&str, Broken); 6] = [
            ("an error", Box::new(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())),
            ("too busy", Box::new(|| (StatusCode::TOO_MANY_REQUESTS, "slow down").into_response())),
            ("a redirect", Box::new(move || redirect(&elsewhere))),
            ("no JSON", Box::new(|| "<html>".into_response())),
            ("JSON of another kind", Box::new(|| json_answer(StatusCode::OK, &json!([{"a": 1}])))),
            ("no end", Box::new(endless)),
        ];
        for (what, reply) in broken {
            issuer.answers(path, reply);
            let failed = House::believing(&issuer).log_in(&issuer).await.unwrap_err();
            assert!(
                matches!(failed, OidcError::Unreachable(_) | OidcError::Metadata(_)),
                "{path}: {what}: {failed:?}"
            );
        }
        assert_eq!(issuer.calls("/elsewhere"), 0, "no redirect is followed");
    }
}

#[tokio::test]
async fn an_issuer_that_is_slow_keeps_nobody_waiting_for_long() {
    for path in [METADATA, "/keys", "/token"] {
        let issuer = Issuer::simple().await;
        issuer.answers(path, stalled);
        let mut settings = settings(&issuer);
        settings.answer_max = Duration::from_millis(300);
        let failed = House::set_up(settings).log_in(&issuer).await.unwrap_err();
        assert!(
            matches!(&failed, OidcError::Unreachable(why) if why.contains("no whole answer")),
            "{failed:?}"
        );
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_is_asked_again_after_a_moment() {
    let issuer = Issuer::simple().await;
    let house = House::believing(&issuer);
    issuer.answers(METADATA, || StatusCode::BAD_GATEWAY.into_response());
    for _ in 0..3 {
        let failed = house.oidc.begin("/").await.unwrap_err();
        assert_eq!(
            failed,
            OidcError::Unreachable("asked for its metadata, it answered 502 Bad Gateway".to_owned())
        );
    }
    assert_eq!(issuer.calls(METADATA), 1, "those who come next are told at once");
    issuer.manners().instead.clear();
    house.clock.advance(Duration::from_secs(5));
    house.oidc.begin("/").await.unwrap();
}

#[tokio::test]
async fn nobody_at_the_address_of_the_issuer_is_said_so() {
    let issuer = Issuer::simple().await;
    let gone = settings(&issuer);
    drop(issuer);
    let failed = House::set_up(gone).oidc.begin("/").await.unwrap_err();
    assert!(
        matches!(&failed, OidcError::Unreachable(why) if why.contains("cannot be reached")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn an_answer_without_a_token_lets_nobody_in() {
    for (status, answer) in [
        (StatusCode::OK, json!({"access_token": "a"})),
        (StatusCode::OK, json!({"id_token": 7})),
        (StatusCode::OK, json!({"id_token": null})),
        (StatusCode::BAD_REQUEST, json!({"id_token": "a.b.c"})),
    ] {
        let issuer = Issuer::simple().await;
        let body = answer.clone();
        issuer.answers("/token", move || json_answer(status, &body));
        let failed = House::believing(&issuer).log_in(&issuer).await.unwrap_err();
        assert!(matches!(failed, OidcError::Unreachable(_)), "{answer}: {failed:?}");
    }
    let issuer = Issuer::simple().await;
    // Some answer errors with 200.
    issuer.answers("/token", || {
        json_answer(StatusCode::OK, &json!({"error": "unauthorized_client", "id_token": "a.b.c"}))
    });
    let refused = House::believing(&issuer).log_in(&issuer).await.unwrap_err();
    assert_eq!(refused, OidcError::ClientRefused("unauthorized_client".to_owned()));
}

/// Anybody can begin log-ins and bring codes that are none. They are sent on to the issuer, a few at once.
#[tokio::test]
async fn no_more_than_a_few_codes_are_with_the_issuer_at_once() {
    let issuer = Issuer::simple().await;
    issuer.answers("/token", stalled);
    let house = Arc::new(House::believing(&issuer));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..17 {
        let begun = house.oidc.begin("/").await.unwrap();
        let query = issuer.agree(&begun.redirect_url);
        let house = house.clone();
        waiting.spawn(async move { house.oidc.finish(&begun.cookie, &query).await });
    }
    let first = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(first.unwrap_err(), OidcError::Busy);
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    issuer.manners().instead.clear();
    house.log_in(&issuer).await.unwrap();
}
