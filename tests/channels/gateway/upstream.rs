//! A second Chappe as the upstream: a process of its own, with its own database and its own clock.

use crate::process::{Gateway, Home, TOKEN};
use crate::support::{Connection, Request};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A running upstream, which delivers into its sandbox.
pub(super) struct Upstream {
    home: Home,
    gateway: Option<Gateway>,
    address: SocketAddr,
}

impl Upstream {
    /// One with this balance.
    pub(super) async fn start(balance: &'static str) -> Upstream {
        let home = Home::new();
        let command = home.dev(balance);
        let gateway = tokio::task::spawn_blocking(move || Gateway::start(command)).await.unwrap();
        let address = gateway.address().parse().unwrap();
        Upstream { home, gateway: Some(gateway), address }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it as `kill -9` does.
    pub(super) fn kill(&mut self) {
        self.gateway.take().unwrap().kill();
    }

    /// Starts it again at the same address, with what it had.
    pub(super) async fn start_again(&mut self) {
        let address = self.address.to_string();
        let command = self.home.command(["dev", "--listen", &address, "--token", TOKEN]);
        let start = tokio::task::spawn_blocking(move || Gateway::start(command));
        self.gateway = Some(start.await.unwrap());
    }

    /// Runs a command of its operator.
    pub(super) fn operate(&self, line: &str) {
        let ended = self.home.run(line.split(' '));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    async fn exchange(&self, request: Request) -> Value {
        let answer = Connection::open(self.address).await.exchange(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// A call of its API.
    pub(super) async fn api(&self, method: &str, parameters: Value) -> Value {
        let call = Request::post(&format!("/{method}")).bearer(TOKEN).json(parameters);
        self.exchange(call).await["result"].take()
    }

    /// Every message in its sandbox, newest first.
    pub(super) async fn messages(&self) -> Vec<Value> {
        serde_json::from_value(self.exchange(Request::get("/sandbox/messages")).await).unwrap()
    }

    /// The only message in its sandbox.
    pub(super) async fn message(&self) -> Value {
        let [message] = self.messages().await.try_into().unwrap();
        message
    }

    /// Lets something happen to the only message: `delivered`, `read`, `failed`.
    pub(super) async fn happen(&self, event: &str) {
        let id = self.message().await["request_id"].as_str().unwrap().to_owned();
        self.exchange(Request::post(&format!("/sandbox/messages/{id}/{event}"))).await;
    }

    /// Moves its clock on.
    pub(super) async fn advance(&self, advance_s: u64) {
        self.exchange(Request::post("/sandbox/clock").json(json!({ "advance_s": advance_s }))).await;
    }

    /// What its account has left, as text.
    pub(super) async fn balance(&self) -> String {
        self.api("getBalance", json!({})).await["balance"].to_string()
    }
}

/// Whatever was tried with it, its books must be right.
impl Drop for Upstream {
    fn drop(&mut self) {
        self.gateway = None;
        if !std::thread::panicking() {
            self.home.audit();
        }
    }
}
