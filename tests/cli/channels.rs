//! Channels as operators set them up: what is refused, and a code that leaves the house.

use crate::Operator;
use crate::gateway::Gateway;
use crate::http::Connection;
use crate::serve::{BEHIND_PROXY, customer, home_with_key, refused, serve};
use crate::tokens::soon;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

const TWILIO: &str = "kind = \"http\"\npreset = \"twilio\"\nfrom = \"+15005550006\"\n";
const BOT_TOKEN: &str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";
const OWN: &str = "kind = \"http\"\nurl = \"https://sms.example/send\"\n";

#[test]
fn channels_that_cannot_work_are_refused_by_name() {
    let home = home_with_key();
    let start = format!("{BEHIND_PROXY}key_file = \"master.key\"\n");
    let vars = "vars = { account_sid = \"AC1\", auth_token = \"hunter2hunter2\" }\n";
    let body = "body = { to = \"{to}\", text = \"{text}\" }\n";
    let sms = |settings: &str| format!("[channels.sms]\n{settings}");
    for (config, reason) in [
        (
            format!("[routes]\nlive = [\"bot:30\", \"sms\"]\n[channels.text]\n{OWN}{body}"),
            "a route leads to channel \"bot\", and there is no [channels.bot]: there are text",
        ),
        (format!("[channels.none]\n{OWN}{body}"), "\"none\" cannot be the name of a channel"),
        (format!("[channels.sandbox]\n{OWN}{body}"), "\"sandbox\" cannot be the name of a channel"),
        (format!("[channels.SMS]\n{OWN}{body}"), "\"SMS\" cannot be the name of a channel"),
        (sms("kind = \"pigeon\"\n"), "pigeon"),
        (sms("preset = \"twilio\"\n"), "kind"),
        (
            sms("kind = \"http\"\npreset = \"pigeons\"\n"),
            "there is no preset \"pigeons\": there are clickatell",
        ),
        (sms(TWILIO), "in channels.sms: vars.account_sid is not set"),
        (sms(&format!("{TWILIO}{vars}")), "providers reach this server, or channels.sms.callbacks = false"),
        (
            format!("[channels.bot]\nkind = \"telegram\"\ntoken = \"{BOT_TOKEN}\"\nupdates = \"webhook\"\n"),
            "providers reach this server, or channels.bot.updates = \"polling\"",
        ),
        (sms(&format!("{OWN}{body}nonsense = 1\n")), "unknown field `nonsense`"),
        (
            sms(&format!("{OWN}body = {{ to = \"{{phone}}\", text = \"{{text}}\" }}\n")),
            "{phone} stands for nothing",
        ),
        (sms(&format!("{OWN}body = {{ to = \"{{to}}\" }}\n")), "neither url nor body has {text} or {code}"),
        (sms(&format!("{OWN}body = {{ text = \"{{text}}\" }}\n")), "neither url nor body has {to}"),
        (
            sms(&format!("{OWN}body = {{ to = \"{{to}}\", text = \"{{text}}\", f = \"{{from}}\" }}\n")),
            "from is not set",
        ),
        (
            sms(&format!("{OWN}content = \"json\"\nbody = '{{\"to\": {{to}}, \"t\": \"{{text}}\"}}'\n")),
            "body is no JSON once its places are filled",
        ),
        (
            sms("kind = \"http\"\nurl = \"https://sms.{to}.example/{text}\"\n"),
            "the host of url must be written out",
        ),
        (sms("kind = \"http\"\nurl = \"https://user@sms.example/{to}/{text}\"\n"), "without a user name"),
        (
            sms("kind = \"http\"\nurl = \"ftp://sms.example/{to}/{text}\"\n"),
            "url must be an http or https address",
        ),
        (sms(&format!("{OWN}{body}method = \"GET\"\n")), "a GET has no body"),
        (sms(&format!("{OWN}{body}user = \"me\"\n")), "user and password belong together"),
        (
            sms(&format!("{OWN}{body}webotp = \"https://example.com\"\n")),
            "webotp \"https://example.com\" is no domain",
        ),
        (sms(&format!("{OWN}{body}language = \"tlh\"\n")), "channels.sms.language is \"tlh\""),
        (sms(&format!("{OWN}{body}answers = [{{ means = \"accepted\" }}]\n")), "describes every answer"),
        (
            sms(&format!("{OWN}{body}answers = [{{ status = 700, means = \"failed\" }}]\n")),
            "\"700\" is no status",
        ),
        (sms(&format!("{OWN}{body}callback = {{ status = \"s\" }}\n")), "callback.delivered is empty"),
        (
            sms(&format!(
                "{OWN}{body}callback = {{ status = \"s\", delivered = \"d\", secret = \"short\" }}\n"
            )),
            "16 characters at least",
        ),
        (
            sms(&format!(
                "{OWN}{body}callback = {{ status = \"/s\", delivered = \"d\", signature = {{ header = \"x-s\", \
                 algorithm = \"twilio-sha1\", secret = \"hunter2hunter2\" }} }}\n"
            )),
            "twilio-sha1 signs no JSON",
        ),
        (sms(&format!("{OWN}{body}concurrency = 0\n")), "nonzero"),
        (sms(&format!("{OWN}{body}concurrency = 1001\n")), "channels.sms is given 1001 messages at once"),
        (
            "[channels.up]\nkind = \"gateway\"\ntoken = \"t\"\npace = { concurrency = 1001 }\n".to_owned(),
            "channels.up is given 1001 messages at once, and may be given 1000",
        ),
        // A number would be read as one, and lose its zeros.
        (sms(&format!("{OWN}{body}user = \"me\"\npassword = 12345678\n")), "put it in quotes"),
        (
            "[texts]\nby_language = { en = \"{code} {name}\" }\n".to_owned(),
            "has \"{name}\": only {code}, {brand} and {minutes}",
        ),
        ("[texts]\nby_language = { en = \"hello\" }\n".to_owned(), "the text for \"en\" has no {code}"),
    ] {
        refused(serve(&home, &format!("{start}{config}")), reason);
    }
    for (url, reason) in [
        ("codes.example", "public_url cannot be used"),
        ("ftp://codes.example", "public_url must be an address"),
        ("https://codes.example/?a=b", "public_url must be an address"),
    ] {
        refused(
            serve(&home, &format!("public_url = \"{url}\"\n{start}{}", sms(&format!("{OWN}{body}")))),
            reason,
        );
    }
    assert!(!home.data().exists(), "a refused start leaves nothing behind");
}

#[test]
fn what_may_not_be_meant_is_said_and_no_secret_with_it() {
    let home = home_with_key();
    let config = format!(
        "{BEHIND_PROXY}key_file = \"master.key\"\n[channels.sms]\n{OWN}body = {{ to = \"{{to}}\", text = \"{{text}}\" }}\n\
         headers = {{ authorization = \"Bearer {{vars.key}}\" }}\nvars = {{ key = \"hunter2hunter2\" }}\n"
    );
    let ended = Gateway::start(serve(&home, &config)).stop();
    for said in
        ["no route leads to it", "nothing ever says that a message arrived", "until it leads to a channel"]
    {
        assert!(ended.stderr.contains(said), "{said:?} is not in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    // An error does not repeat it either, and braces in it are not taken for places.
    let secret = "hunter2{code}hunter2{hunter2}";
    for setting in [
        format!("user = \"me\"\npassword = \"{secret}\"\n"),
        format!("callback = {{ status = \"s\", delivered = \"d\", secret = \"{secret}\" }}\n"),
    ] {
        let ended = refused_quietly(serve(&home, &format!("{config}{setting}")));
        assert!(ended.contains("in braces that is no {vars.…}: a secret with braces"), "{ended}");
    }
    for (from, to) in [("hunter2hunter2\"", "hunter2hunter2\", x = []"), ("{vars.key}", "{vars.other}")] {
        refused_quietly(serve(&home, &config.replace(from, to)));
    }
}

#[track_caller]
fn refused_quietly(command: std::process::Command) -> String {
    let ended = Gateway::try_start(command).map(|_| ()).unwrap_err();
    assert!(ended.code == Some(1) && !ended.stderr.contains("hunter2"), "{ended:?}");
    ended.stderr
}

/// A provider that takes one message and gives the request back.
fn provider() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taking = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        while !request.ends_with(b"}") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the request ended early");
            request.extend_from_slice(&buffer[..read]);
        }
        let answer = "HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\n{\"id\":\"m-1\"}";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, taking)
}

#[test]
fn a_code_leaves_the_house_and_its_delivery_is_heard() {
    let (address, taking) = provider();
    let home = home_with_key();
    let config = format!(
        "{BEHIND_PROXY}key_file = \"master.key\"\npublic_url = \"https://codes.example/\"\n[routes]\nlive = \"sms\"\n\
         [texts]\nbrand = \"Example\"\n[channels.sms]\nkind = \"http\"\nurl = \"http://{address}/send\"\n\
         headers = {{ authorization = \"Key {{vars.key}}\" }}\nreference = \"/id\"\nwebotp = \"example.com\"\n\
         body = {{ to = \"{{to}}\", text = \"{{text}}\", callback = \"{{callback_url}}\" }}\n\
         callback = {{ status = \"/status\", delivered = \"ok\" }}\n"
    );
    let mut command = serve(&home, &config);
    // Zeros and all: a variable is a text where a secret is wanted.
    command.env("CHAPPE_CHANNELS__SMS__VARS__KEY", "0012345678");
    let gateway = Gateway::start(command);
    let token = customer(&home, false);
    soon(&gateway, &token, "IP_NOT_ALLOWED");
    let proxied = "X-Forwarded-For: 198.51.100.7\r\n";
    let mut caller = Connection::open(gateway.address(), &token).unwrap();
    let order = json!({ "phone_number": "+393331234567", "code": "4711", "ttl": 60 });
    let sent = caller.call_with("sendVerificationMessage", &order, proxied).unwrap().result();
    let taken = taking.join().unwrap();
    let (head, body) = taken.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /send HTTP/1.1\r\n") && head.contains("authorization: Key 0012345678"),
        "{head}"
    );
    let message: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        message["text"],
        "Example: Il tuo codice di verifica è 4711. Valido per 10 min. Non condividerlo.\n\n@example.com #4711"
    );
    let callback = message["callback"].as_str().unwrap().strip_prefix("https://codes.example").unwrap();
    let told = "{\"status\":\"ok\"}";
    let call = format!(
        "POST {callback} HTTP/1.1\r\nHost: codes.example\r\nContent-Length: {}\r\n\r\n{told}",
        told.len()
    );
    let heard = Connection::open(gateway.address(), "").unwrap().exchange(&call).unwrap();
    assert_eq!((heard.status, heard.text.as_str()), (200, "OK\n"));
    let state = json!({ "request_id": sent["request_id"] });
    let state = caller.call_with("checkVerificationStatus", &state, proxied).unwrap().result();
    assert_eq!(state["delivery_status"]["status"], "delivered");
    let ended = gateway.stop();
    for secret in ["0012345678", "393331234567", "4711"] {
        assert!(!ended.stderr.contains(secret), "{secret} is in the log: {}", ended.stderr);
    }
    let audit = home.run(["audit", "--json"]);
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[test]
fn texts_are_shown_with_their_length() {
    let operator = Operator::new();
    let shown = operator.json("text show");
    let english = shown.as_array().unwrap().iter().find(|text| text["language"] == "en").unwrap();
    assert_eq!(english["text"], "Your verification code is 123456. It is valid for 10 min. Do not share it.");
    assert_eq!((&english["alphabet"], &english["sms"]), (&"GSM-7".into(), &1.into()));
    assert!(shown.as_array().unwrap().iter().all(|text| text["sms"] == 1), "{shown}");
    let sms = format!(
        "[channels.sms]\n{OWN}body = {{ to = \"{{to}}\", text = \"{{text}}\" }}\nwebotp = \"example.com\"\n"
    );
    std::fs::write(operator.home.path().join("chappe.toml"), sms).unwrap();
    let uk = operator.json("text show --language uk --channel sms");
    assert_eq!((&uk[0]["alphabet"], &uk[0]["sms"]), (&"UCS-2".into(), &2.into()), "{uk}");
    assert!(uk[0]["text"].as_str().unwrap().ends_with("\n\n@example.com #123456"), "{uk}");
    operator.table(&[
        ("text show --language pt-br", 0, "pt-br     1    "),
        ("text show --language tlh", 1, "there is no text in \"tlh\": there are ar"),
        ("text show --channel bot", 1, "there is no channel \"bot\": there are sms"),
    ]);
}
