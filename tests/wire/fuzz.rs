//! Thousands of calls that began as good ones and were spoilt at random: none is a fault of ours, every answer can be
//! read, and money moves for what was done, by exactly its price.
//!
//! The same seed makes the same calls. `FUZZ_SEED` and `FUZZ_CASES` try others.

use crate::support::{ALICE, OWN, Request, Server};
use chappe::env::Random;
use chappe_core::Money;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

const SEED: u64 = 20_261_123;
const CASES: usize = 5_000;

/// A call that is being spoilt.
struct Call {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    parameters: Vec<(String, Value)>,
    json: bool,
    headers: Vec<(String, Vec<u8>)>,
    /// What happens to the bytes of the body in the end.
    spoil_body: Vec<fn(&mut Fuzz, &mut Vec<u8>)>,
}

/// The source of chance, and what the server has told so far.
struct Fuzz {
    random: Random,
    /// Request ids and their numbers.
    requests: Vec<(String, String)>,
}

impl Fuzz {
    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound.max(1) as u32).unwrap() as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let at = self.below(of.len());
        of[at].clone()
    }

    /// A call that is right, or nearly so.
    fn call(&mut self) -> Call {
        let name = self.pick(&[
            "checkSendAbility",
            "sendVerificationMessage",
            "sendVerificationMessage",
            "checkVerificationStatus",
            "revokeVerificationMessage",
            "getBalance",
        ]);
        let mut parameters = Vec::new();
        let mut add = |name: &str, value: Value| parameters.push((name.to_owned(), value));
        let phone = self.pick(&[
            "+79123456719",
            "79123456720",
            OWN,
            "+9996600001",
            "+9996610001",
            "+9996620001",
            "+9996630001",
            "+9996650001",
            "+9996660001",
            "+9996670001",
            "+9996680001",
            "+9996690001",
        ]);
        let recent = self.requests.len().saturating_sub(10);
        let recent = self.requests[recent..].to_vec();
        let unknown = ("100000000000000".to_owned(), phone.to_owned());
        let (request, its_phone) = if recent.is_empty() { unknown } else { self.pick(&recent) };
        match name {
            "checkSendAbility" => add("phone_number", json!(phone)),
            "sendVerificationMessage" => {
                let of_request = self.chance(30);
                add("phone_number", if of_request { json!(its_phone) } else { json!(phone) });
                if of_request {
                    add("request_id", json!(request));
                }
                if self.chance(50) {
                    add("code", json!("1234"))
                } else {
                    add("code_length", json!(6))
                }
                if self.chance(30) {
                    add("payload", json!("päyload"));
                }
                if self.chance(30) {
                    add("ttl", json!(60));
                }
                if self.chance(20) {
                    add("callback_url", json!("https://example.invalid/hook"));
                }
            }
            "getBalance" => {}
            _ => {
                add("request_id", json!(request));
                if self.chance(50) {
                    add("code", json!("1234"));
                }
            }
        }
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {ALICE}").into_bytes())];
        if self.chance(20) {
            headers.push(("idempotency-key".to_owned(), vec![self.pick(b"abcdefgh")]));
        }
        let method = if self.chance(70) { "POST" } else { "GET" }.to_owned();
        let json = self.chance(50);
        Call {
            method,
            path: format!("/{name}"),
            query: Vec::new(),
            parameters,
            json,
            headers,
            spoil_body: Vec::new(),
        }
    }

    fn spoil(&mut self, call: &mut Call) {
        match self.below(14) {
            0..=3 => {
                let value = self.hostile();
                let at = self.below(call.parameters.len());
                match call.parameters.get_mut(at) {
                    Some(parameter) => parameter.1 = value,
                    None => call.parameters.push((self.name(), value)),
                }
            }
            4 => call.parameters.push((self.name(), self.hostile())),
            5 => {
                let at = self.below(call.parameters.len());
                if at < call.parameters.len() {
                    call.parameters.remove(at);
                }
            }
            6 => {
                let at = self.below(call.parameters.len());
                if let Some((name, value)) = call.parameters.get(at) {
                    call.query.push((
                        name.clone(),
                        value.as_str().map_or_else(|| value.to_string(), str::to_owned),
                    ));
                }
            }
            7 => call.query.push((self.name(), self.hostile().to_string())),
            8 => {
                let kinds = [
                    "application/json",
                    "application/x-www-form-urlencoded",
                    "text/plain",
                    "multipart/form-data",
                    "application/json;charset=utf-16",
                    "",
                    ";",
                    "application/xml",
                    "x+json",
                ];
                let kind = self.pick(&kinds);
                call.headers.push(("content-type".to_owned(), kind.as_bytes().to_vec()));
            }
            9 => {
                let name = self.pick(&[
                    "authorization",
                    "idempotency-key",
                    "content-encoding",
                    "x-forwarded-for",
                    "accept",
                    "cookie",
                    "expect",
                    "origin",
                ]);
                let length = self.below(12);
                let value = (0..length).map(|_| self.header_byte()).collect();
                call.headers.push((name.to_owned(), value));
            }
            10 => {
                call.method =
                    self.pick(&["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get", "X"]).to_owned()
            }
            11 => {
                let mut path = call.path.clone().into_bytes();
                flip(self, &mut path);
                path.retain(|byte| (b'!'..=b'~').contains(byte));
                call.path = format!("/{}", String::from_utf8(path).unwrap());
            }
            12 => call.spoil_body.push(|fuzz, body| flip(fuzz, body)),
            _ => {
                let how: [fn(&mut Fuzz, &mut Vec<u8>); 4] =
                    [cut, double, insert, |fuzz, body| flip(fuzz, body)];
                let how = self.pick(&how);
                call.spoil_body.push(how);
            }
        }
    }

    fn name(&mut self) -> String {
        self.pick(&[
            "phone_number",
            "request_id",
            "code",
            "code_length",
            "ttl",
            "payload",
            "callback_url",
            "sender_username",
            "access_token",
            "PHONE_NUMBER",
            "code[]",
            "",
            "__proto__",
        ])
        .to_owned()
    }

    fn hostile(&mut self) -> Value {
        let values = [
            json!(null),
            json!(""),
            json!("\0"),
            json!(true),
            json!(-1),
            json!(0),
            json!(1e308),
            json!(u64::MAX),
            json!(i64::MIN),
            json!([]),
            json!({}),
            json!([[[]]]),
            json!("' OR ''='"),
            json!("%00"),
            json!("&code=9"),
            json!("+79123456719"),
            json!("79123456719"),
            json!("1234"),
            json!("4321"),
            json!(1234),
            json!(6),
            json!(30),
            json!("3600"),
            json!("٤"),
            json!("\u{202e}\u{feff}"),
            json!("https://127.0.0.1/"),
            json!("https://example.invalid/"),
            json!("{{7*7}}"),
            json!("<script>"),
            json!("\r\nx: y"),
            json!("x".repeat(300)),
            json!("é".repeat(64)),
            json!("100000000000000"),
            json!(100000000000000u64),
            json!(ALICE),
        ];
        self.pick(&values)
    }

    /// A byte that does not end the header.
    fn header_byte(&mut self) -> u8 {
        self.pick(b" \t!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x80\xff")
    }

    fn request(&mut self, call: &Call) -> Request {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        let query = pairs.extend_pairs(&call.query).finish();
        let in_query = call.method == "GET" && call.spoil_body.is_empty();
        let mut request;
        let mut form = url::form_urlencoded::Serializer::new(query.clone());
        for (name, value) in &call.parameters {
            form.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let form = form.finish();
        if in_query {
            request = Request::new(&call.method, &format!("{}?{form}", call.path));
        } else {
            request = Request::new(&call.method, &format!("{}?{query}", call.path));
            // By hand, so that a name can stand there twice.
            let members: Vec<String> =
                call.parameters.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
            let body = if call.json { format!("{{{}}}", members.join(",")) } else { form };
            let mut body = body.into_bytes();
            for spoil in &call.spoil_body {
                spoil(self, &mut body);
            }
            request = request.body(body);
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        request
    }
}

fn flip(fuzz: &mut Fuzz, bytes: &mut [u8]) {
    let at = fuzz.below(bytes.len());
    let bit = fuzz.below(8);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

fn cut(fuzz: &mut Fuzz, bytes: &mut Vec<u8>) {
    let at = fuzz.below(bytes.len());
    bytes.truncate(at);
}

fn double(fuzz: &mut Fuzz, bytes: &mut Vec<u8>) {
    let from = fuzz.below(bytes.len());
    let part = bytes[from..].to_vec();
    bytes.extend(part);
}

fn insert(fuzz: &mut Fuzz, bytes: &mut Vec<u8>) {
    let at = fuzz.below(bytes.len() + 1);
    let part = fuzz.pick(&[
        "\0", "\"", "{", "}", "[", ",", ":", "\\", "\\u0000", "%", "&", "=", "null", "1e9", "\u{feff}",
    ]);
    bytes.splice(at..at, part.bytes());
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn spoilt_calls_are_answered_and_charged_exactly() {
    let seed = setting("FUZZ_SEED").unwrap_or(SEED);
    let cases = setting("FUZZ_CASES").map_or(CASES, |cases| cases as usize);
    let server = Server::start(|setup| {
        setup.serve();
        setup.settings.rules.account_rate = None;
        setup.settings.rules.sends_per_phone.max = 1_000_000;
        setup.clock_at(1_789_894_598);
    })
    .await;
    let price = server.app.settings.rules.prices.price(chappe_core::Phone::parse("79123456719").unwrap());
    let mut fuzz = Fuzz { random: Random::seeded(seed), requests: Vec::new() };
    let mut known = HashSet::new();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut balance = server.balance().await;
    let mut connection = server.connect().await;
    for case in 0..cases {
        let mut call = fuzz.call();
        for _ in 0..fuzz.pick(&[0, 1, 1, 2, 3]) {
            fuzz.spoil(&mut call);
        }
        let request = fuzz.request(&call);
        let shown = || format!("seed {seed}, case {case}: {}", String::from_utf8_lossy(&request.bytes()));
        let Some(answer) = connection.try_exchange(&request).await else {
            panic!("no answer; {}", shown());
        };
        assert!(answer.status < 500, "{}; {}", answer.head, shown());
        let mut expected = balance;
        if answer.body.is_empty() {
            // Refused below us, or a HEAD.
            assert!([400, 405, 200].contains(&answer.status), "{}; {}", answer.head, shown());
            *outcomes.entry(answer.status.to_string()).or_default() += 1;
        } else {
            let json = answer.json();
            let outcome = if json["ok"] == true { "ok".to_owned() } else { answer.error() };
            assert!(
                !outcome.is_empty() && (json["ok"] == false || answer.status == 200),
                "{json}; {}",
                shown()
            );
            *outcomes.entry(outcome).or_default() += 1;
            let result = &json["result"];
            let charging = result.get("remaining_balance").is_some();
            let id = result["request_id"].as_str().unwrap_or_default();
            if charging && known.insert(id.to_owned()) {
                let phone = result["phone_number"].as_str().unwrap().to_owned();
                fuzz.requests.push((id.to_owned(), phone));
                let cost: Money = result["request_cost"].to_string().parse().unwrap();
                let own = result["phone_number"] == OWN.trim_start_matches('+');
                assert_eq!(cost, if own { Money::ZERO } else { price }, "{json}; {}", shown());
                expected = balance.checked_sub(cost).unwrap();
                assert_eq!(result["remaining_balance"].to_string(), expected.to_string(), "{}", shown());
            }
        }
        balance = server.balance().await;
        assert_eq!(balance, expected, "{}", shown());
        if answer.header("connection") == Some("close") {
            connection = server.connect().await;
        }
    }
    println!("seed {seed}, {cases} cases: {outcomes:#?}");
    // Chance has been everywhere.
    assert!(outcomes.len() >= 20 || cases < CASES, "{outcomes:#?}");
    assert!(outcomes.get("ok").is_some_and(|count| *count > cases / 10), "{outcomes:#?}");
}
