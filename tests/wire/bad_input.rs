//! Hostile requests: each is refused clearly, none is a fault of ours, none costs anything, and the connection, or at
//! least the next one, serves on.

use crate::support::{ALICE, Connection, Request, Server};
use serde_json::json;

/// What would be sent and charged if the hostile part of the call were overlooked.
const GOOD: &str = "/sendVerificationMessage?phone_number=79123456719&code=1234";

/// As in production, without the limits that many calls would run into.
pub(crate) async fn server() -> Server {
    Server::start(|setup| {
        setup.serve();
        setup.settings.rules.account_rate = None;
        setup.settings.rules.sends_per_phone.max = 1_000_000;
        setup.clock_at(1_789_894_598);
        setup.workers = false;
    })
    .await
}

fn good() -> Request {
    Request::post(GOOD).bearer(ALICE)
}

/// One hostile call, and what must come of it.
struct Row {
    what: &'static str,
    bytes: Vec<u8>,
    /// HTTP status and error name. An empty name: refused below us, where there is no envelope.
    verdict: (u16, &'static str),
}

fn row(what: &'static str, status: u16, name: &'static str, request: Request) -> Row {
    raw(what, status, name, request.bytes())
}

fn raw(what: &'static str, status: u16, name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    Row { what, bytes: bytes.as_ref().to_owned(), verdict: (status, name) }
}

/// Makes the calls on one connection as long as it lasts. Every one is refused as its row says, and free.
async fn refused(rows: Vec<Row>) {
    let server = server().await;
    let before = server.balance().await;
    let mut connection = server.connect().await;
    for Row { what, bytes, verdict: (status, name) } in rows {
        connection.send(&bytes).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(answer.status, status, "{what}: {}{}", answer.head, String::from_utf8_lossy(&answer.body));
        if name.is_empty() {
            assert!(answer.body.is_empty(), "{what}: {}", answer.text());
        } else {
            assert_eq!(answer.error(), name, "{what}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        }
        assert_eq!(server.balance().await, before, "{what}");
        connection = usable(&server, connection, what, name.is_empty() || status == 413).await;
    }
}

/// The connection still answers; or it was closed, which only a refusal that could not read the whole call may do.
async fn usable(server: &Server, mut connection: Connection, what: &str, may_close: bool) -> Connection {
    let balance = Request::get("/getBalance").bearer(ALICE);
    if let Some(answer) = connection.try_exchange(&balance).await {
        answer.result();
        return connection;
    }
    assert!(may_close, "{what}: the connection was closed");
    let mut connection = server.connect().await;
    connection.exchange(&balance).await.result();
    connection
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let invalid = |what, body: &[u8]| row(what, 400, "BODY_INVALID", good().json("").body(body));
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    refused(vec![
        invalid("half an object", b"{"),
        invalid("an array", b"[]"),
        invalid("a number", b"1"),
        invalid("a text", b"\"x\""),
        invalid("null", b"null"),
        invalid("two objects", b"{}{}"),
        invalid("something after the object", b"{} x"),
        invalid("a byte order mark", b"\xef\xbb\xbf{}"),
        invalid("UTF-16", b"\xff\xfe{\0}\0"),
        invalid("single quotes", b"{'code':'1234'}"),
        invalid("a comment", b"{/*x*/}"),
        invalid("a trailing comma", b"{\"ttl\":60,}"),
        invalid("not a number", b"{\"ttl\":NaN}"),
        invalid("a leading zero", b"{\"ttl\":060}"),
        invalid("a leading plus", b"{\"ttl\":+60}"),
        invalid("a bare word", b"{\"ttl\":sixty}"),
        invalid("a raw NUL", b"{\"payload\":\"a\0b\"}"),
        invalid("a raw line feed", b"{\"payload\":\"a\nb\"}"),
        invalid("half a surrogate pair", br#"{"payload":"\ud83d"}"#),
        invalid("a surrogate pair the wrong way round", br#"{"payload":"\ude00\ud83d"}"#),
        invalid("no UTF-8", b"{\"payload\":\"\xff\"}"),
        invalid("overlong UTF-8", b"{\"payload\":\"\xc0\xaf\"}"),
        invalid("a surrogate in UTF-8", b"{\"payload\":\"\xed\xa0\x80\"}"),
        invalid("17 deep", nested(17).as_bytes()),
        invalid("32,000 deep", "[".repeat(32_000).as_bytes()),
        invalid("16,000 objects deep", "{\"\":".repeat(13_000).as_bytes()),
        row("no UTF-8 in a form", 400, "BODY_INVALID", good().form(b"payload=\xff")),
        row("no UTF-8 behind percent signs", 400, "BODY_INVALID", good().form("payload=%ff%fe")),
        row("overlong UTF-8 behind percent signs", 400, "BODY_INVALID", good().form("payload=%c0%80")),
        row("no UTF-8 in a name", 400, "BODY_INVALID", good().form("%ff=1")),
        row(
            "no UTF-8 in a query",
            400,
            "BODY_INVALID",
            Request::post(&format!("{GOOD}&payload=%ff")).bearer(ALICE),
        ),
        row("no UTF-8 without a token", 400, "BODY_INVALID", Request::post(GOOD).json("").body(b"\xff")),
        row("conflict in JSON", 200, "PARAMETER_CONFLICT", good().json(r#"{"ttl":60,"ttl":61}"#)),
        row("conflict by spelling", 200, "PARAMETER_CONFLICT", good().json(r#"{"ttl":60,"ttl":60.0}"#)),
        row("conflict of query and body", 200, "PARAMETER_CONFLICT", good().form("code=1235")),
        row("conflict in a form", 200, "PARAMETER_CONFLICT", good().form("ttl=60&ttl=61")),
        row("conflict with a non-scalar", 200, "PARAMETER_CONFLICT", good().json(r#"{"code":["1234"]}"#)),
        row("30,000 conflicts", 200, "PARAMETER_CONFLICT", good().form(conflicts())),
        row(
            "bad percent signs",
            200,
            "CODE_INVALID",
            Request::post("/sendVerificationMessage")
                .bearer(ALICE)
                .form("phone_number=79123456719&code=%3%31%zz%"),
        ),
        row(
            "a NUL behind percent signs",
            200,
            "CODE_INVALID",
            Request::post("/sendVerificationMessage")
                .bearer(ALICE)
                .form("phone_number=79123456719&code=1234%00"),
        ),
    ])
    .await;
}

fn conflicts() -> String {
    let mut form: Vec<String> = (0..7_000).map(|value| format!("ttl={}", value % 2)).collect();
    form.extend((0..7_000).map(|_| "&".to_owned()));
    form.join("&")
}

#[tokio::test]
async fn bodies_of_the_wrong_size_or_kind() {
    let (limit, over) = (64 * 1024, 64 * 1024 + 1);
    let padded = |size: usize| format!("{}{}{}", r#"{"payload":""#, "x".repeat(size - 14), "\"}");
    let chunked = |chunks: &[String]| {
        let mut bytes = good().json("").header("transfer-encoding", "chunked").bytes();
        for chunk in chunks {
            bytes.extend(format!("{:x}\r\n{chunk}\r\n", chunk.len()).into_bytes());
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    };
    let kind = |kind: &str, body: &[u8]| good().header("content-type", kind).body(body);
    let coded = |coding: &str, body: &[u8]| good().json("").header("content-encoding", coding).body(body);
    let multipart = b"--x\r\ncontent-disposition: form-data; name=\"ttl\"\r\n\r\n60\r\n--x--\r\n";
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xab\xae\x05\0C\xbf\xa6\xa3\x02\0\0\0";
    refused(vec![
        row("as much as may be", 200, "PAYLOAD_INVALID", good().json(padded(limit))),
        row("a byte too much", 413, "BODY_TOO_LARGE", good().json(padded(over))),
        row("a megabyte", 413, "BODY_TOO_LARGE", good().json(padded(1 << 20))),
        row("a byte too much of nothing", 413, "BODY_TOO_LARGE", good().form(" ".repeat(over))),
        row("much announced", 413, "BODY_TOO_LARGE", good().header("content-length", "999999999999")),
        raw("as much as may be, in chunks", 200, "PAYLOAD_INVALID", chunked(&[padded(limit)])),
        raw("a byte too much, in a chunk", 413, "BODY_TOO_LARGE", chunked(&[padded(over)])),
        raw("too much, in small chunks", 413, "BODY_TOO_LARGE", chunked(&vec!["x".repeat(100); 700])),
        raw("a chunk that is no JSON", 400, "BODY_INVALID", chunked(&["x".to_owned()])),
        row("too much without a token", 413, "BODY_TOO_LARGE", Request::post(GOOD).json(padded(over))),
        row("gzip", 415, "CONTENT_ENCODING_UNSUPPORTED", coded("gzip", gzip)),
        row("GZIP", 415, "CONTENT_ENCODING_UNSUPPORTED", coded("GZIP", gzip)),
        row("br", 415, "CONTENT_ENCODING_UNSUPPORTED", coded("br", b"x")),
        row("identity and gzip", 415, "CONTENT_ENCODING_UNSUPPORTED", coded("identity, gzip", gzip)),
        row("gzip that nobody announced", 400, "BODY_INVALID", good().body(gzip)),
        row("multipart", 415, "CONTENT_TYPE_UNSUPPORTED", kind("multipart/form-data; boundary=x", multipart)),
        row("XML", 415, "CONTENT_TYPE_UNSUPPORTED", kind("application/xml", b"<ttl>60</ttl>")),
        row("bytes", 415, "CONTENT_TYPE_UNSUPPORTED", kind("application/octet-stream", b"ttl=60")),
        row("a kind that is none", 415, "CONTENT_TYPE_UNSUPPORTED", kind("/;=", b"ttl=60")),
        row("JSON by its kind alone", 400, "BODY_INVALID", kind("application/json", b"ttl=60")),
    ])
    .await;
}

#[tokio::test]
async fn requests_that_are_none() {
    let with = |name: &str, value: &[u8]| good().header(name, value);
    let method = |method: &str| Request::new(method, GOOD).bearer(ALICE);
    let long = "x".repeat(70_000);
    let many: Vec<String> = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let head = format!("POST {GOOD} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n");
    let not_allowed = "METHOD_NOT_ALLOWED";
    refused(vec![
        row("PUT", 405, not_allowed, method("PUT")),
        row("DELETE", 405, not_allowed, method("DELETE")),
        row("PATCH", 405, not_allowed, method("PATCH")),
        row("OPTIONS", 405, not_allowed, method("OPTIONS")),
        row("TRACE", 405, not_allowed, method("TRACE")),
        row("a method of no one's", 405, not_allowed, method("SEND")),
        row("a method in small letters", 405, not_allowed, method("post")),
        row("PUT with a body", 405, not_allowed, method("PUT").json(r#"{"ttl":60}"#)),
        row("PUT of no method", 200, "UNKNOWN_METHOD", Request::new("PUT", "/x").bearer(ALICE)),
        row(
            "a token of bytes",
            200,
            "ACCESS_TOKEN_REQUIRED",
            Request::post(GOOD).header("authorization", b"Bearer \xff\xfe"),
        ),
        row("a long token", 200, "ACCESS_TOKEN_INVALID", Request::post(GOOD).bearer(&long)),
        row("a kind of bytes", 400, "BODY_INVALID", with("content-type", b"\xff").body(b"{")),
        row("an empty key", 200, "IDEMPOTENCY_KEY_INVALID", with("idempotency-key", b"")),
        row("a key of spaces", 200, "IDEMPOTENCY_KEY_INVALID", with("idempotency-key", b"   ")),
        row("a key too long", 200, "IDEMPOTENCY_KEY_INVALID", with("idempotency-key", &[b'k'; 256])),
        row(
            "a key of bytes",
            200,
            "IDEMPOTENCY_KEY_INVALID",
            with("idempotency-key", "schlüssel".as_bytes()),
        ),
        row("a key with a tab", 200, "IDEMPOTENCY_KEY_INVALID", with("idempotency-key", b"a\tb")),
        raw("no HTTP", 400, "", "EHLO example.org\r\n\r\n"),
        raw("TLS", 400, "", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"),
        raw("HTTP/3.0", 400, "", format!("GET {GOOD} HTTP/3.0\r\n\r\n")),
        raw("a target with a space", 400, "", format!("GET {GOOD}&x= y HTTP/1.1\r\nhost: x\r\n\r\n")),
        raw("a target of 70,000 bytes", 414, "", format!("GET {GOOD}&x={long} HTTP/1.1\r\nhost: x\r\n\r\n")),
        raw("a header without a name", 400, "", format!("{head}: x\r\n\r\n")),
        raw("a header with a space in its name", 400, "", format!("{head}x y: z\r\n\r\n")),
        raw("a header with a NUL", 400, "", format!("{head}x: a\0b\r\n\r\n")),
        raw("a folded header", 400, "", format!("{head}x: a\r\n b\r\n\r\n")),
        raw("200 headers", 431, "", format!("{head}{}\r\n", many.concat())),
        raw("a header of 700,000 bytes", 431, "", format!("{head}x: {}\r\n\r\n", long.repeat(10))),
        raw("two lengths", 400, "", format!("{head}content-length: 1\r\ncontent-length: 2\r\n\r\n{{}}")),
        raw("a negative length", 400, "", format!("{head}content-length: -1\r\n\r\n")),
        raw("a length with a sign", 400, "", format!("{head}content-length: +2\r\n\r\n{{}}")),
        raw("a length that is no number", 400, "", format!("{head}content-length: 0x2\r\n\r\n{{}}")),
        raw(
            "a length beyond all bounds",
            400,
            "",
            format!("{head}content-length: 99999999999999999999999\r\n\r\n"),
        ),
        raw("a coding that is not chunked", 400, "", format!("{head}transfer-encoding: gzip\r\n\r\n{{}}")),
    ])
    .await;
}

/// What looks odd and is right all the same.
#[tokio::test]
async fn unusual_requests_are_answered() {
    let server = server().await;
    let head = |line: &str, more: &str| format!("{line}\r\nauthorization: Bearer {ALICE}\r\n{more}\r\n");
    let post = "POST /getBalance HTTP/1.1";
    let nested = format!("{{\"x\":{}{}}}", "[".repeat(15), "]".repeat(15));
    for (what, bytes) in [
        ("HTTP/1.0", head("GET /getBalance HTTP/1.0", "")),
        ("bare line feeds", format!("GET /getBalance HTTP/1.1\nhost: x\nauthorization: Bearer {ALICE}\n\n")),
        ("empty lines before", format!("\r\n\r\n{}", head("GET /getBalance HTTP/1.1", ""))),
        (
            "the same length twice",
            format!("{}{{}}", head(post, "content-length: 2\r\ncontent-length: 2\r\n")),
        ),
        (
            "no coding at all",
            format!("{}{{}}", head(post, "content-length: 2\r\ncontent-encoding: Identity\r\n")),
        ),
        (
            "a client that asks before it sends",
            format!("{}{{}}", head(post, "content-length: 2\r\nexpect: 100-continue\r\n")),
        ),
        (
            "chunks with extensions and a trailer",
            format!("{}2;a=b\r\n{{}}\r\n0\r\nx: y\r\n\r\n", head(post, "transfer-encoding: chunked\r\n")),
        ),
        ("16 deep", format!("{}{nested}", head(post, &format!("content-length: {}\r\n", nested.len())))),
        (
            "a body of spaces",
            format!("{}   ", head(post, "content-length: 3\r\ncontent-type: application/json\r\n")),
        ),
        ("a JSON body of nothing", head(post, "content-length: 0\r\ncontent-type: application/json\r\n")),
        ("letters beyond ASCII in the query", head("GET /getBalance?payload=é HTTP/1.1", "")),
        (
            "an upgrade that nobody needs",
            head("GET /getBalance HTTP/1.1", "connection: upgrade\r\nupgrade: websocket\r\n"),
        ),
    ] {
        let mut connection = server.connect().await;
        connection.send(bytes.as_bytes()).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(answer.json(), json!({"ok": true, "result": {"balance": 100}}), "{what}");
    }
}

#[tokio::test]
async fn a_head_is_refused_without_a_body() {
    let server = server().await;
    let mut connection = server.connect().await;
    let answer = connection.exchange(&Request::new("HEAD", GOOD).bearer(ALICE)).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")));
    connection.exchange(&Request::get("/getBalance").bearer(ALICE)).await.result();
    assert_eq!(server.balance().await.to_string(), "100");
}

#[tokio::test]
async fn calls_that_came_at_once_are_answered_in_order() {
    let server = server().await;
    let mut connection = server.connect().await;
    let names = ["getBalance", "getMe", "checkVerificationStatus", "getBalance"];
    let bytes: Vec<u8> =
        names.iter().flat_map(|name| Request::post(&format!("/{name}")).bearer(ALICE).bytes()).collect();
    // The heads come in the smallest pieces there are.
    for byte in bytes {
        connection.send(&[byte]).await;
    }
    for expected in ["", "UNKNOWN_METHOD", "REQUEST_ID_REQUIRED", ""] {
        assert_eq!(connection.answer().await.unwrap().error(), expected);
    }
}

/// Where a call ends must not be open to two readings: whoever says it in two ways is answered once, and cut off.
#[tokio::test]
async fn nothing_is_smuggled_behind_a_call() {
    let server = server().await;
    let hidden = String::from_utf8(good().bytes()).unwrap();
    let call = format!("POST /getBalance HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n");
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "content-length: 5\r\ncontent-length: 6",
    ] {
        let mut connection = server.connect().await;
        connection.send(format!("{call}{framing}\r\n\r\n0\r\n\r\n{hidden}").as_bytes()).await;
        let answer = connection.answer().await.unwrap();
        assert!([200, 400].contains(&answer.status), "{framing}: {}", answer.head);
        assert_eq!(connection.answer().await, None, "{framing}");
        assert_eq!(server.balance().await.to_string(), "100", "{framing}");
    }
    // A body that was too large to be read is not taken for the next call either.
    let mut connection = server.connect().await;
    let body = format!("{hidden}{}", "x".repeat(70_000));
    connection.send(&Request::post("/getBalance").bearer(ALICE).body(body).bytes()).await;
    assert_eq!(connection.answer().await.unwrap().verdict(), (413, "BODY_TOO_LARGE".to_owned()));
    assert_eq!(connection.answer().await, None);
    assert_eq!(server.balance().await.to_string(), "100");
}

/// Ten seconds of real time: what a client may take over its first request, and over any body.
#[tokio::test]
async fn slow_clients_are_let_go() {
    let server = server().await;
    let mut silent = server.connect().await;
    let mut half_a_head = server.connect().await;
    half_a_head.send(b"POST /getBal").await;
    let mut other_version = server.connect().await;
    other_version.send(b"PRI * HTTP/2.0\r\n").await;
    let mut half_a_body = server.connect().await;
    half_a_body.send(&good().header("content-length", "100").body("{").bytes()).await;
    let mut no_chunk = server.connect().await;
    no_chunk.send(&good().header("transfer-encoding", "chunked").bytes()).await;
    let mut later = server.connect().await;
    later.exchange(&Request::get("/getBalance").bearer(ALICE)).await.result();
    later.send(&good().header("content-length", "100").bytes()).await;
    let (silent, head, version) = tokio::join!(silent.answer(), half_a_head.answer(), other_version.answer());
    for early in [silent, head, version] {
        assert!(early.is_none_or(|answer| [400, 408].contains(&answer.status)));
    }
    let (body, chunk, later) = tokio::join!(half_a_body.answer(), no_chunk.answer(), later.answer());
    for late in [body, chunk, later] {
        assert_eq!(late.unwrap().verdict(), (408, "BODY_TIMEOUT".to_owned()));
    }
    assert_eq!(server.balance().await.to_string(), "100");
}

/// Found: the answer to an unknown method is 200, which to a CONNECT means that a tunnel is open.
#[tokio::test]
async fn no_tunnel_is_offered() {
    let server = server().await;
    let mut connection = server.connect().await;
    connection.send(b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n").await;
    assert_eq!(connection.answer().await.unwrap().status, 405);
}
