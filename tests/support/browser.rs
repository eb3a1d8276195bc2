//! A browser as far as pages without scripts need one: it keeps cookies, follows redirects and sends forms of the page
//! that it has open.

use super::http::{Answer, Request};
use super::server::Server;
use chappe::store::console::people::{self, Role};
use chappe_core::Phone;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How many redirects are followed.
const HOPS_MAX: usize = 5;

/// A browser, and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) cookies: BTreeMap<String, String>,
    /// What the forms of the page that is open hold against forgery.
    pub(crate) csrf: String,
    /// Path and query of the page that is open.
    pub(crate) at: String,
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Browser {
        let (cookies, csrf, at) = (BTreeMap::new(), String::new(), String::new());
        Browser { address: server.address, cookies, csrf, at }
    }

    /// Sends a request with the cookies, and keeps those that come back. Redirects are not followed.
    pub(crate) async fn send(&mut self, request: Request) -> Answer {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = match pairs.is_empty() {
            true => request,
            false => request.header("cookie", pairs.join("; ")),
        };
        let answer = super::http::Connection::open(self.address).await.exchange(&request).await;
        for line in answer.head.lines() {
            let Some(cookie) = line.strip_prefix("set-cookie: ") else { continue };
            let (pair, rest) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match rest.contains("Max-Age=0;") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Asks for a page, without following redirects.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let answer = self.send(Request::get(path)).await;
        path.clone_into(&mut self.at);
        self.note(&answer);
        answer
    }

    /// Opens a page, wherever that leads.
    pub(crate) async fn open(&mut self, path: &str) -> Answer {
        let answer = self.get(path).await;
        self.follow(answer).await
    }

    /// Sends a form of the page that is open, without following redirects.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .append_pair("csrf", &csrf)
            .finish();
        let answer = self.send(Request::post(path).header("sec-fetch-site", "same-origin").form(form)).await;
        self.note(&answer);
        answer
    }

    /// Sends a form of the page that is open, and goes where that leads.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.post(path, fields).await;
        self.follow(answer).await
    }

    async fn follow(&mut self, mut answer: Answer) -> Answer {
        for _ in 0..HOPS_MAX {
            if answer.status != 303 {
                return answer;
            }
            let to = answer.header("location").unwrap().to_owned();
            answer = self.get(&to).await;
        }
        panic!("redirects without end, at last to {}", self.at);
    }

    fn note(&mut self, answer: &Answer) {
        let mark = "name=\"csrf\" value=\"";
        if let Some((_, rest)) = std::str::from_utf8(&answer.body).ok().and_then(|text| text.split_once(mark))
        {
            rest.split('"').next().unwrap().clone_into(&mut self.csrf);
        }
    }

    /// Logs in with a number, by the code that the sandbox shows; ends on the page that comes then.
    pub(crate) async fn log_in(&mut self, server: &Server, phone: &str) -> Answer {
        self.open("/login").await;
        let asked = self.submit("/login", &[("phone_number", phone)]).await;
        assert_eq!(self.at, "/login/code", "{}", asked.text());
        let code = server.code_of(phone).await;
        self.submit("/login/code", &[("code", &code)]).await
    }
}

impl Server {
    /// The newest code that the sandbox shows for a number.
    pub(crate) async fn code_of(&self, phone: &str) -> String {
        let phone = Phone::parse(phone);
        let messages = self.app.pages.sandbox_messages(None, phone, 1).await.unwrap();
        messages.into_iter().next().expect("a code").code.expose().to_owned()
    }

    /// Lets a number act for a customer.
    pub(crate) async fn admit(&self, customer: &str, phone: &str, role: Role) {
        let mut store = self.store().await;
        let (reader, now) = (self.reader(), self.app.clock.now());
        let phone = Phone::parse(phone).unwrap();
        store.change(&people::know(reader.vault(), phone, "Somebody", now)).await.unwrap();
        let person = reader.person_of(phone).await.unwrap().unwrap();
        let customer = reader.customer_named(customer).await.unwrap().unwrap();
        assert!(store.change(&people::join(customer, person.id, role, now)).await.unwrap());
    }

    /// Lets a number run the gateway.
    pub(crate) async fn appoint(&self, phone: &str) {
        let mut store = self.store().await;
        let (reader, phone) = (self.reader(), Phone::parse(phone).unwrap());
        store.change(&people::know(reader.vault(), phone, "Operator", self.app.clock.now())).await.unwrap();
        let person = reader.person_of(phone).await.unwrap().unwrap();
        assert!(store.change(&people::set_operator(person.id, true)).await.unwrap());
    }
}
