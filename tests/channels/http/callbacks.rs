//! Callbacks: who is believed, and what an attacker gets.

use super::double::{PUBLIC_URL, Provider};
use super::lives::{order, route, tell};
use crate::support::{Request, Server};
use aws_lc_rs::hmac;
use base64::Engine;
use chappe::env::Random;
use chappe::net::address::{TrustedProxies, parse_range};
use serde_json::json;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The signature of a body with [`SECRET`], in hexadecimal digits.
fn sign(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn one_message(more: serde_json::Value) -> (Server, String, String) {
    let mut provider = Provider::accepting().await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(more))])).await;
    let request = server.send_until(order(60), "accepted").await;
    let callback = provider.next().await.callback();
    (server, request, callback)
}

fn callback_of(more: serde_json::Value) -> serde_json::Value {
    let mut callback = json!({
        "status": "/status", "reference": "/id", "delivered": ["delivered"], "read": ["read"], "failed": ["failed"],
    });
    for (name, value) in more.as_object().unwrap() {
        callback[name] = value.clone();
    }
    json!({"callback": callback})
}

#[tokio::test]
async fn whoever_was_not_given_an_address_is_told_the_same_always() {
    let mut provider = Provider::accepting().await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send_until(order(60), "accepted").await;
    let callback = provider.next().await.callback();
    let other = server.send_until(json!({"phone_number": "+393331234568", "code": "1234"}), "accepted").await;
    let path = callback.strip_prefix("/channels/sms/").unwrap();
    let mac = path.rsplit('-').next().unwrap();
    let zeros = "0".repeat(32);
    let mut answers = Vec::new();
    for path in [
        format!("/channels/sms/{request}-0-{zeros}"),
        format!("/channels/sms/{other}-0-{mac}"),
        format!("/channels/sms/{request}-1-{mac}"),
        format!("/channels/sms/999999999999999-0-{mac}"),
        format!("/channels/sms/{}", &path[..path.len() - 1]),
        format!("/channels/sms/{path}0"),
        format!("/channels/sms/{path}/more"),
        format!("/channels/sms/{request}"),
        "/channels/sms/status".to_owned(),
        "/channels/sms/status?key=".to_owned(),
        "/channels/sms/%00".to_owned(),
        format!("/channels/SMS/{path}"),
        format!("/channels/voice/{path}"),
        format!("/channels/sandbox/{path}"),
    ] {
        let answer = tell(&server, &path, json!({"status": "delivered", "id": "m-0"})).await;
        answers.push((path, answer.status, answer.text().to_owned()));
    }
    let believed: Vec<_> =
        answers.iter().filter(|(_, status, text)| (*status, text.as_str()) != (403, "Forbidden\n")).collect();
    assert!(believed.is_empty(), "{believed:?}");
    for request in [&request, &other] {
        assert_eq!(server.delivery(request).await, "sent");
    }
    assert_eq!(server.timeline(&request).await.len(), 3);
}

#[tokio::test]
async fn what_cannot_be_read_changes_nothing() {
    let (server, request, callback) = one_message(json!({})).await;
    let deep = "[".repeat(30_000);
    for (body, status) in [
        (String::new(), 400),
        ("null".to_owned(), 400),
        ("{\"status\": {}}".to_owned(), 400),
        ("{\"status\": null}".to_owned(), 400),
        ("{\"status\"".to_owned(), 400),
        (deep, 400),
        ("{\"status\": \"on its way\"}".to_owned(), 200),
        ("x".repeat(64 * 1024 + 1), 413),
    ] {
        let answer = server.call(&Request::post(&callback).body(&body)).await;
        assert_eq!(answer.status, status, "{}…", body.chars().take(30).collect::<String>());
    }
    for method in ["PUT", "DELETE", "HEAD", "PATCH"] {
        assert_eq!(server.call(&Request::new(method, &callback)).await.status, 405, "{method}");
    }
    assert_eq!(server.call(&Request::get(&callback)).await.status, 400, "GET may tell, and told nothing");
    assert_eq!(server.call(&Request::post("/channels/sms")).await.error(), "UNKNOWN_METHOD");
    assert_eq!(server.delivery(&request).await, "sent");
}

#[tokio::test]
async fn fields_of_form_and_query_tell_as_well() {
    for get in [true, false] {
        let callback = callback_of(json!({"status": "Status"}));
        let (server, request, callback) = one_message(callback).await;
        let told = "Status=Delivered&Other=%20%zz";
        let call = match get {
            true => Request::get(&format!("{callback}?{told}")),
            false => Request::post(&callback).form(told),
        };
        assert_eq!(server.call(&call).await.status, 200);
        assert_eq!(server.delivery(&request).await, "delivered");
    }
}

#[tokio::test]
async fn one_address_for_all_messages_needs_a_secret() {
    let (server, request, _) = one_message(callback_of(json!({"secret": SECRET}))).await;
    let told = |id: &str| json!({"id": id, "status": "delivered"});
    for (path, id, status) in [
        ("/channels/sms/status".to_owned(), "m-0", 403),
        (format!("/channels/sms/status?key={}", &SECRET[1..]), "m-0", 403),
        (format!("/channels/sms/status?key={}", &SECRET[1..]), "m-1", 403),
        (format!("/channels/sms/status?key={SECRET}"), "m-1", 404),
        (format!("/channels/sms/status?key={SECRET}"), "", 400),
        (format!("/channels/sms/status?key={SECRET}"), "m\0", 400),
    ] {
        assert_eq!(tell(&server, &path, told(id)).await.status, status, "{path} {id:?}");
        assert_eq!(server.delivery(&request).await, "sent");
    }
    assert_eq!(tell(&server, &format!("/channels/sms/status?key={SECRET}"), told("m-0")).await.status, 200);
    assert_eq!(server.delivery(&request).await, "delivered");
}

#[tokio::test]
async fn a_secret_may_stand_in_a_header() {
    let callback = callback_of(json!({"secret": SECRET, "secret_header": "x-secret"}));
    let (server, request, _) = one_message(callback).await;
    let call = Request::post(&format!("/channels/sms/status?key={SECRET}"))
        .json(json!({"id": "m-0", "status": "delivered"}));
    assert_eq!(server.call(&call).await.status, 403);
    let twice = call.clone().header("x-secret", SECRET).header("x-secret", SECRET);
    assert_eq!(server.call(&twice).await.status, 403);
    assert_eq!(server.call(&call.header("x-secret", SECRET)).await.status, 200);
    assert_eq!(server.delivery(&request).await, "delivered");
}

#[tokio::test]
async fn a_list_tells_of_many_messages() {
    let mut provider = Provider::accepting().await;
    let settings = provider.channel(callback_of(json!({"secret": SECRET, "list": "/results"})));
    let server = Server::start(route(&["sms"], [("sms", settings)])).await;
    let mut requests = Vec::new();
    for at in 0..3 {
        let order = json!({"phone_number": format!("+39333123456{at}"), "code": "1234", "ttl": 60});
        requests.push(server.send_until(order, "accepted").await);
        provider.next().await;
    }
    let told = json!({"results": [
        {"id": "m-0", "status": "delivered"}, {"id": "m-1", "status": "failed"}, {"id": "m-2", "status": "sent"},
    ]});
    let path = format!("/channels/sms/status?key={SECRET}");
    assert_eq!(tell(&server, &path, told).await.status, 200);
    for (request, status) in requests.iter().zip(["delivered", "expired", "sent"]) {
        assert_eq!(server.delivery(request).await, status);
    }
    for results in [json!(null), json!({}), json!(vec![json!({"id": "m-2", "status": "delivered"}); 201])] {
        assert_eq!(tell(&server, &path, json!({"results": results})).await.status, 400);
    }
    assert_eq!(server.delivery(&requests[2]).await, "sent");
}

#[tokio::test]
async fn a_signature_is_wanted_beside_the_address() {
    let signature =
        json!({"header": "x-signature", "algorithm": "hmac-sha256", "secret": SECRET, "prefix": "sha256="});
    let (server, request, callback) = one_message(callback_of(json!({"signature": signature}))).await;
    let body = json!({"id": "m-0", "status": "delivered"}).to_string();
    let sign = |body: &str| format!("sha256={}", sign(body));
    let call = |path: &str, signature: &str| Request::post(path).json(&body).header("x-signature", signature);
    for signature in
        ["", "sha256=", &sign("{}"), sign(&body).trim_start_matches("sha256="), &sign(&body)[..40]]
    {
        assert_eq!(server.call(&call(&callback, signature)).await.status, 403, "{signature:?}");
    }
    assert_eq!(server.call(&Request::post(&callback).json(&body)).await.status, 403);
    assert_eq!(server.delivery(&request).await, "sent");
    // Whoever signs may as well use the one address for all messages.
    assert_eq!(server.call(&call("/channels/sms/status", &sign(&body))).await.status, 200);
    assert_eq!(server.delivery(&request).await, "delivered");
}

/// A signature over the body says nothing of the address: whoever has seen one callback could have it say anything there.
#[tokio::test]
async fn what_the_signature_does_not_cover_is_not_read() {
    let signature = json!({"header": "x-signature", "algorithm": "hmac-sha256", "secret": SECRET});
    let callback = json!({"status": "Status", "reference": "Id", "signature": signature});
    let (server, request, callback) = one_message(callback_of(callback)).await;
    let before = server.timeline(&request).await;
    let (form, text) = ("application/x-www-form-urlencoded", "text/plain");
    let (queued, delivered) = ("Status=queued&Id=m-0", "Status=delivered&Id=m-0");
    let own = "/channels/sms/status";
    let call = |path: String, kind: &str, body: &str| {
        let call = Request::post(&path).header("content-type", kind).header("x-signature", sign(body));
        call.body(body)
    };
    for (path, kind, body, status) in [
        (format!("{callback}?{delivered}"), text, queued, 400),
        (format!("{callback}?{delivered}"), text, "", 400),
        (format!("{callback}?{delivered}"), form, "", 400),
        (format!("{callback}?{delivered}"), form, "Id=m-0", 400),
        (format!("{callback}?{delivered}"), form, queued, 200),
        (format!("{own}?{delivered}"), text, queued, 400),
        (format!("{own}?Id=m-0"), form, "Status=delivered", 400),
    ] {
        let answer = server.call(&call(path.clone(), kind, body)).await;
        assert_eq!(answer.status, status, "{path} {kind} {body:?}");
        assert_eq!(server.timeline(&request).await, before, "{path} {kind} {body:?}");
    }
    assert_eq!(server.call(&call(own.to_owned(), form, delivered)).await.status, 200);
    assert_eq!(server.delivery(&request).await, "delivered");
}

#[tokio::test]
async fn twilio_signs_the_address_that_it_was_given() {
    let signature = json!({"header": "x-twilio-signature", "algorithm": "twilio-sha1", "secret": SECRET});
    let fields = json!({"status": "MessageStatus", "reference": "MessageSid", "signature": signature});
    let callback = callback_of(fields);
    let (server, request, callback) = one_message(callback).await;
    let sign = |text: String| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()))
    };
    let right = sign(format!("{PUBLIC_URL}{callback}MessageSidSM1MessageStatusdelivered"));
    let call = |form: &str| Request::post(&callback).form(form).header("x-twilio-signature", &right);
    for form in ["MessageSid=SM1&MessageStatus=read", "MessageStatus=delivered", ""] {
        assert_eq!(server.call(&call(form)).await.status, 403, "{form}");
    }
    assert_eq!(server.delivery(&request).await, "sent");
    assert_eq!(server.call(&call("MessageStatus=delivered&MessageSid=SM1")).await.status, 200);
    assert_eq!(server.delivery(&request).await, "delivered");
}

#[tokio::test]
async fn callbacks_come_through_the_proxy_where_there_is_one() {
    for (proxy, status) in [("127.0.0.1", 200), ("192.0.2.1", 403)] {
        let mut provider = Provider::accepting().await;
        let settings = provider.channel(json!({}));
        let server = Server::start(|setup| {
            route(&["sms"], [("sms", settings)])(setup);
            setup.settings.trusted_proxies = TrustedProxies(vec![parse_range("127.0.0.1").unwrap()]);
        })
        .await;
        server.send_until(order(60), "accepted").await;
        let callback = provider.next().await.callback();
        let home = server.stop();
        let mut setup = crate::support::Setup::dev();
        route(&["sms"], [("sms", provider.channel(json!({})))])(&mut setup);
        setup.settings.proxies_only = true;
        setup.settings.trusted_proxies = TrustedProxies(vec![parse_range(proxy).unwrap()]);
        let server = home.serve(setup).await;
        let answer = tell(&server, &callback, json!({"status": "delivered"})).await;
        assert_eq!(answer.status, status, "{proxy}");
    }
}

/// A source of chance.
struct Noise(Random);

impl Noise {
    fn below(&self, bound: usize) -> usize {
        self.0.below(bound as u32).unwrap() as usize
    }

    fn pick<'a, T: ?Sized>(&self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// Bytes of this alphabet; of all there are, if it is empty.
    fn bytes(&self, alphabet: &[u8], most: usize) -> Vec<u8> {
        let byte = |_| {
            if alphabet.is_empty() { self.below(256) as u8 } else { alphabet[self.below(alphabet.len())] }
        };
        (0..self.below(most)).map(byte).collect()
    }

    /// A text that differs in one place.
    fn spoilt(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let at = self.below(bytes.len());
        bytes[at] = if bytes[at] == b'7' { b'3' } else { b'7' };
        String::from_utf8(bytes).unwrap()
    }
}

/// Two thousand calls at addresses near the right one, with bodies near the right one: none is believed, none breaks
/// anything.
#[tokio::test]
async fn noise_changes_nothing() {
    let signature = json!({"header": "x-signature", "algorithm": "hmac-sha256", "secret": SECRET});
    let settings = callback_of(json!({"secret": SECRET, "signature": signature, "list": "/results"}));
    let (server, request, callback) = one_message(settings).await;
    let before = server.timeline(&request).await;
    let noise = Noise(Random::seeded(20_261_124));
    let right = json!({"results": [{"id": "m-0", "status": "delivered"}]}).to_string();
    let (own, name) =
        (format!("/channels/sms/status?key={SECRET}"), callback.trim_start_matches("/channels/sms/"));
    let mut connection = server.connect().await;
    for _ in 0..2_000 {
        let path = match noise.below(5) {
            0 => callback.clone(),
            1 => own.clone(),
            2 => format!("/channels/sms/{}", noise.spoilt(name)),
            3 => format!("/channels/sms/status?key={}", noise.spoilt(SECRET)),
            _ => {
                let rest = noise.bytes(b"abc019-_./%20?=&", 60);
                format!("/channels/sms/x{}", String::from_utf8(rest).unwrap())
            }
        };
        let body = match noise.below(4) {
            0 => right.clone().into_bytes(),
            1 => noise.spoilt(&right).into_bytes(),
            2 => noise.bytes(b"[]{}\":,adelirvst019", 200),
            _ => noise.bytes(b"", 300),
        };
        let signature = match noise.below(2) {
            0 => noise.bytes(b"0123456789abcdef", 80),
            _ => vec![b'0'; 64],
        };
        let kind = noise.pick(&[
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ]);
        let call =
            Request::post(&path).header("content-type", kind).header("x-signature", &signature).body(&body);
        let answer = connection.exchange(&call).await;
        assert_eq!(answer.status, 403, "to {path} {signature:?} {body:?}");
    }
    assert_eq!(server.timeline(&request).await, before);
    assert_eq!(server.delivery(&request).await, "sent");
    assert_eq!(server.balance().await.to_string(), "99.99");
    // It still hears whoever may speak.
    let call = Request::post(&callback).json(&right).header("x-signature", sign(&right));
    assert_eq!(connection.exchange(&call).await.status, 200);
    assert_eq!(server.delivery(&request).await, "delivered");
}
