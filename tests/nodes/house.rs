//! Nodes over one database, with a customer and a token.

use crate::balancer::Balancer;
use crate::database::port::free_port;
use crate::gateway::{Finished, Gateway, Home, finish};
use crate::http::{Connection, Reply};
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Whom a balancer speaks for, where a test speaks to a node itself.
pub(crate) const FORWARDED: &str = "X-Forwarded-For: 192.0.2.7\r\n";
/// How long a node may take to come up, however often it has to be started.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Everything but the database.
pub(crate) struct House {
    pub(crate) home: Home,
    pub(crate) balancer: Balancer,
    pub(crate) token: String,
    pub(crate) nodes: Vec<Node>,
    variables: Vec<(&'static str, String)>,
    _turn: File,
}

/// A node that is started on the same port each time.
pub(crate) struct Node {
    pub(crate) port: u16,
    url: String,
    /// Behind a lock, so that threads may share the house.
    gateway: Mutex<Option<Gateway>>,
    /// How often it had to be started beyond once each time.
    pub(crate) failed_starts: u32,
}

/// Waits until no other trial is at work, also in other processes, until this is dropped: what is measured is not what
/// trials do to each other.
pub(crate) fn take_turn() -> File {
    let turn = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("nodes.lock")).unwrap();
    turn.lock().unwrap();
    turn
}

impl House {
    /// Nodes that reach their database by these URLs, the customer's account holding this many credits.
    pub(crate) fn new(urls: &[String], credits: &str, drain_s: u32) -> House {
        House::behind(Balancer::over, urls, credits, drain_s)
    }

    /// The same behind a balancer that is set up in another way.
    pub(crate) fn behind(
        balancer: fn(&[u16]) -> Balancer,
        urls: &[String],
        credits: &str,
        drain_s: u32,
    ) -> House {
        let turn = take_turn();
        let home = Home::new();
        let key = home.run(["key", "generate"]).stdout;
        let variables = vec![
            ("CHAPPE_KEY", key.trim().to_owned()),
            ("CHAPPE_DATABASE", urls[0].clone()),
            ("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]".to_owned()),
            ("CHAPPE_ROUTES__LIVE", "sandbox".to_owned()),
            ("CHAPPE_LIMITS__ACCOUNT_PER_SECOND", "0".to_owned()),
            ("CHAPPE_DRAIN_S", drain_s.to_string()),
        ];
        let nodes: Vec<_> = urls
            .iter()
            .map(|url| Node {
                port: free_port(),
                url: url.clone(),
                gateway: Mutex::default(),
                failed_starts: 0,
            })
            .collect();
        let ports: Vec<_> = nodes.iter().map(|node| node.port).collect();
        let balancer = balancer(&ports);
        let mut house = House { home, balancer, token: String::new(), nodes, variables, _turn: turn };
        house.run("account create alice");
        house.run(&format!("credit alice {credits}"));
        house.token = house.new_token();
        for at in 0..urls.len() {
            house.start(at);
        }
        house.balancer.wait_for_all();
        house
    }

    /// Lets commands reach the database by another URL than the first node's.
    pub(crate) fn reach(&mut self, url: &str) {
        self.variables.retain(|(name, _)| *name != "CHAPPE_DATABASE");
        self.variables.push(("CHAPPE_DATABASE", url.to_owned()));
    }

    /// Another token of the customer's.
    pub(crate) fn new_token(&self) -> String {
        let made: Value = serde_json::from_str(&self.run("token create alice --json")).unwrap();
        made["token"].as_str().unwrap().to_owned()
    }

    /// Runs a command that must succeed; what it says.
    pub(crate) fn run(&self, line: &str) -> String {
        let mut command = self.home.command(line.split_whitespace());
        self.settle(&mut command);
        let ended = finish(command);
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        ended.stdout
    }

    fn settle(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// Starts a node as a supervisor does: again and again, until it is ready.
    pub(crate) fn start(&mut self, at: usize) {
        let until = Instant::now() + START_PATIENCE;
        loop {
            let listen = format!("127.0.0.1:{}", self.nodes[at].port);
            let mut command = self.home.command(["serve", "--listen", &listen]);
            self.settle(&mut command);
            command.env("CHAPPE_DATABASE", &self.nodes[at].url);
            match Gateway::try_start(command) {
                Ok(gateway) => return *self.nodes[at].gateway.get_mut().unwrap() = Some(gateway),
                Err(ended) => {
                    self.nodes[at].failed_starts += 1;
                    assert!(Instant::now() < until, "the node did not start: {ended:?}");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Kills a node as `kill -9` does; what it had said.
    pub(crate) fn kill(&mut self, at: usize) -> Finished {
        self.nodes[at].gateway.get_mut().unwrap().take().unwrap().kill()
    }

    /// Asks a node to stop, and waits until it has; what it had said.
    pub(crate) fn stop(&mut self, at: usize) -> Finished {
        let ended = self.nodes[at].gateway.get_mut().unwrap().take().unwrap().stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    /// Calls a node itself.
    pub(crate) fn call(&self, at: usize, method: &str, params: &Value) -> Reply {
        self.connect(at).call_with(method, params, FORWARDED).unwrap()
    }

    pub(crate) fn connect(&self, at: usize) -> Connection {
        Connection::open(&format!("127.0.0.1:{}", self.nodes[at].port), &self.token).unwrap()
    }

    /// What a node tells of its readiness.
    pub(crate) fn ready(&self, at: usize) -> u16 {
        self.connect(at).exchange("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap().status
    }

    /// Waits until a node tells this of its readiness; how long that took.
    pub(crate) fn wait_ready(&self, at: usize, wanted: u16, patience: Duration) -> Duration {
        let since = Instant::now();
        while self.ready(at) != wanted {
            assert!(since.elapsed() < patience, "not {wanted} after {patience:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        since.elapsed()
    }
}
