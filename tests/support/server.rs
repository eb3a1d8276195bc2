//! A whole server in this process: the application over a real SQLite file or, where `WIRE_DATABASE=postgres` says so, a
//! PostgreSQL database; the engine on its thread, the workers, and the real HTTP server on a free port. Whatever is started is stopped when it is dropped, and its books are audited.

use super::http::{Answer, Connection, Events, Request};
use super::must;
use super::postgres::{Database, database};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use chappe::app::{App, Engines, Settings};
use chappe::channels::route::Routes;
use chappe::config::Config;
use chappe::door;
use chappe::env::{Clock, Random};
use chappe::net::server::bind;
use chappe::store::{
    AccountRow, AuditFinding, Durability, NewToken, Reader, Store, TokenRow, postgres, sqlite,
};
use chappe::vault::{MasterKey, Vault};
use chappe::work::Workers;
use chappe_core::ledger::Kind;
use chappe_core::{AccountId, Command, Keys, Mode, Money, Phone, RequestId, Time, decide};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The tokens of two customers, each with a live and a test account.
pub(crate) const ALICE: &str = "live-token-of-alice";
pub(crate) const ALICE_TEST: &str = "test-token-of-alice";
pub(crate) const BOB: &str = "live-token-of-bob";
pub(crate) const BOB_TEST: &str = "test-token-of-bob";
/// Alice's own number.
pub(crate) const OWN: &str = "+79123456788";

/// How a server is to be set up.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// What every account has to begin with, in credits.
    pub(crate) balance: &'static str,
    /// Whether workers run: without them, nothing happens to a message by itself.
    pub(crate) workers: bool,
    /// Whether the sandbox takes messages in the batch that gave them out, as it really does. Without workers it does not,
    /// unless a test wants it: then a message stays as it was sent.
    pub(crate) sandbox_at_once: Option<bool>,
    /// Whether the engine works. Without, commands wait until [`Server::release`].
    pub(crate) engine: bool,
    /// A certificate to serve HTTPS with.
    pub(crate) tls: Option<RustlsConfig>,
}

impl Setup {
    /// As `chappe dev`.
    pub(crate) fn dev() -> Setup {
        Setup {
            settings: Config::defaults().unwrap().dev_settings().unwrap(),
            clock: Clock::system(),
            random: Random::seeded(1),
            balance: "100",
            workers: true,
            sandbox_at_once: None,
            engine: true,
            tls: None,
        }
    }

    /// A clock that stands at `seconds` until it is moved.
    pub(crate) fn clock_at(&mut self, seconds: i64) {
        self.clock = Clock::manual(Time::from_secs(seconds));
    }

    /// As `chappe serve` with certificates on a staging machine: live messages go to the sandbox as well, and nothing
    /// else is as in development.
    pub(crate) fn serve(&mut self) {
        let settings = Config::defaults().unwrap().settings().unwrap();
        self.settings = Settings { routes: Routes::sandbox(), proxies_only: false, ..settings };
    }
}

/// A database with its key.
#[derive(Debug)]
pub(crate) struct Home {
    place: Place,
    vault: Vault,
}

/// Where a database is.
#[derive(Debug)]
enum Place {
    Directory(TempDir),
    Postgres(Database),
}

impl Place {
    async fn of_run() -> Place {
        match std::env::var("WIRE_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Place::Directory(tempfile::tempdir().unwrap()),
            Ok("postgres") => Place::Postgres(database().await),
            Ok(other) => panic!("WIRE_DATABASE is sqlite or postgres, not {other:?}"),
        }
    }
}

/// Where connections to PostgreSQL live that must go on while a test's own runtime waits for a thread.
fn background() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    })
}

impl Home {
    async fn empty() -> Home {
        let vault = Vault::new(&MasterKey::from_bytes([7; 32]));
        Home { place: Place::of_run().await, vault }
    }

    /// An empty PostgreSQL database, which several servers can share.
    async fn empty_to_share() -> Home {
        let vault = Vault::new(&MasterKey::from_bytes([7; 32]));
        Home { place: Place::Postgres(database().await), vault }
    }

    /// The same database once more, for another server.
    fn shared(&self) -> Home {
        let Place::Postgres(database) = &self.place else { panic!("a file has one server") };
        Home { place: Place::Postgres(database.clone()), vault: self.vault.clone() }
    }

    /// Opens the database to write, as the command line does beside a running server.
    pub(crate) async fn store(&self) -> Store {
        let vault = self.vault.clone();
        match &self.place {
            // Nothing here cuts the power, so nothing has to wait for the disk.
            Place::Directory(directory) => {
                Store::open_sqlite(directory.path(), vault, Durability::ProcessOnly).unwrap()
            }
            Place::Postgres(database) => {
                let url = database.url();
                let open = background().spawn(async move { Store::open_postgres(&url, vault).await });
                open.await.unwrap().unwrap()
            }
        }
    }

    /// What the audit finds.
    fn audit(&self) -> Vec<AuditFinding> {
        let vault = self.vault.clone();
        match &self.place {
            Place::Directory(directory) => {
                let reader = sqlite::Reader::open(directory.path(), vault).unwrap();
                reader.audit(|_| {}).unwrap()
            }
            Place::Postgres(database) => {
                let url = database.url();
                let audit = async move {
                    let reader = Reader::Postgres(postgres::Reader::open(&url, vault).await.unwrap());
                    reader.audit(|_| {}).await.unwrap()
                };
                // This thread drives a runtime already, and may not wait on another.
                std::thread::scope(|scope| scope.spawn(|| background().block_on(audit)).join().unwrap())
            }
        }
    }

    /// Two customers, their tokens and their money.
    async fn furnish(&self, setup: &Setup) {
        let mut store = self.store().await;
        let reader = store.reader().unwrap();
        let now = setup.clock.now();
        for (name, live, test) in [("alice", ALICE, ALICE_TEST), ("bob", BOB, BOB_TEST)] {
            store.create_customer(name, now).await.unwrap();
            for (mode, text) in [(Mode::Live, live), (Mode::Test, test)] {
                let account = reader.account(name, mode).await.unwrap().id;
                let token = NewToken { account, name: "first", text, expires_at: None, allowed: &[] };
                store.create_token(&token, now).await.unwrap();
                credit(&mut store, setup, account).await;
            }
        }
        for mode in [Mode::Live, Mode::Test] {
            let account = reader.account("alice", mode).await.unwrap().id;
            store.set_own_number(account, Phone::parse(OWN)).await.unwrap();
        }
    }

    /// Starts a server over this directory.
    pub(crate) async fn serve(self, setup: Setup) -> Server {
        // Fails only where an earlier server of this process has done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let Setup { settings, clock, random, workers, sandbox_at_once, engine, tls, .. } = setup;
        let settings = Settings { sandbox_by_worker: !sandbox_at_once.unwrap_or(workers), ..settings };
        let built = App::build(self.store().await, settings, self.vault.clone(), clock, random).await;
        let (app, engines) = built.unwrap();
        let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound.address();
        let router = door::router(&app);
        let handle = Handle::new();
        tokio::spawn(bound.serve(router, tls, handle.clone()));
        let mut server =
            Server { app, address, home: Some(self), handle, engines: None, engine: None, workers: None };
        let Engines { batches, work, letters } = engines;
        if workers {
            server.workers = Some(Workers::start(&server.app, work, letters));
        }
        server.engines = Some(batches);
        if engine {
            server.release();
        }
        server
    }
}

async fn credit(store: &mut Store, setup: &Setup, account: AccountId) {
    let amount: Money = setup.balance.parse().unwrap();
    if !amount.is_positive() {
        return;
    }
    let command = Command::Credit {
        now: setup.clock.now(),
        account,
        kind: Kind::Deposit,
        amount,
        reference: None,
        reason: "to begin with".to_owned(),
    };
    let mut keys = Keys::default();
    command.add_keys(&mut keys);
    let rules = &setup.settings.rules;
    store.transact(&keys, |book| decide(rules, book, &command)).await.unwrap().0.unwrap();
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    home: Option<Home>,
    handle: Handle<SocketAddr>,
    /// The engine, as long as it is held back.
    engines: Option<chappe::engine::Batches>,
    engine: Option<JoinHandle<()>>,
    workers: Option<Workers>,
}

impl Server {
    /// Starts a server as `chappe dev` does, with what `tweak` changes about it.
    pub(crate) async fn start(tweak: impl FnOnce(&mut Setup)) -> Server {
        let mut setup = Setup::dev();
        tweak(&mut setup);
        let home = Home::empty().await;
        home.furnish(&setup).await;
        home.serve(setup).await
    }

    /// Starts two servers as [`Server::start`] does, over one PostgreSQL database.
    pub(crate) async fn start_two(tweak: impl Fn(&mut Setup)) -> (Server, Server) {
        let setup = || {
            let mut setup = Setup::dev();
            tweak(&mut setup);
            setup
        };
        let home = Home::empty_to_share().await;
        home.furnish(&setup()).await;
        let second = home.shared();
        (home.serve(setup()).await, second.serve(setup()).await)
    }

    /// Cuts every connection that holds a turn; see [`Reader::lead`].
    pub(crate) async fn cut_leads(&self) {
        let Place::Postgres(database) = &self.home.as_ref().unwrap().place else { panic!("nothing to cut") };
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database
                   WHERE locktype = 'advisory' AND datname = current_database()";
        database.run(cut).await;
    }

    /// Lets an engine work that was held back.
    pub(crate) fn release(&mut self) {
        let Some(batches) = self.engines.take() else { return };
        let engine = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(batches.run()).unwrap();
        };
        self.engine = Some(std::thread::Builder::new().name("engine".to_owned()).spawn(engine).unwrap());
    }

    /// Lets an engine that is held back carry out one batch. Returns whether anything waited.
    pub(crate) async fn step(&mut self) -> bool {
        self.engines.as_mut().unwrap().step().await.unwrap()
    }

    /// Loses the engine that was held back, as when it has died.
    pub(crate) fn abandon_engine(&mut self) {
        self.engines = None;
    }

    /// Holds what every writer needs, as another process may, until this is dropped.
    pub(crate) async fn lock_database(&self) -> Box<dyn Send> {
        match &self.home.as_ref().unwrap().place {
            Place::Directory(directory) => {
                let connection = file(directory);
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Box::new(connection)
            }
            Place::Postgres(database) => {
                let client = database.client().await;
                client.batch_execute("BEGIN; LOCK TABLE account IN EXCLUSIVE MODE").await.unwrap();
                Box::new(client)
            }
        }
    }

    /// Stops at once, as a process that is told to end: calls and attempts under way are cut off.
    pub(crate) fn stop(mut self) -> Home {
        self.halt();
        let home = self.home.take().unwrap();
        let findings = home.audit();
        assert!(findings.is_empty(), "the audit found: {findings:#?}");
        home
    }

    /// Lets the workers stop as they do when a server is asked to.
    pub(crate) async fn stop_workers(&mut self) {
        must("the workers to stop", self.workers.take().unwrap().stop(Duration::from_secs(60))).await;
    }

    fn halt(&mut self) {
        self.app.stopping.send_replace(true);
        self.handle.shutdown();
        self.workers = None;
        self.engines = None;
        self.app.engine.close();
        if let Some(engine) = self.engine.take() {
            assert!(engine.join().is_ok() || std::thread::panicking(), "the engine panicked");
        }
    }

    /// The database, opened to write beside the server.
    pub(crate) async fn store(&self) -> Store {
        self.home.as_ref().unwrap().store().await
    }

    /// Whether other servers may work on the same database.
    pub(crate) fn has_neighbours(&self) -> bool {
        matches!(self.app.reader, Reader::Postgres(_))
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.app.reader
    }

    /// What a customer's account has, by the database.
    pub(crate) async fn account(&self, customer: &str, mode: Mode) -> AccountRow {
        self.reader().account(customer, mode).await.unwrap()
    }

    /// What Alice's live account has, by the database.
    pub(crate) async fn balance(&self) -> Money {
        self.account("alice", Mode::Live).await.balance
    }

    pub(crate) async fn token(&self, text: &str) -> TokenRow {
        let tokens = self.reader().tokens(None).await.unwrap();
        tokens.into_iter().find(|token| *token.text == text).unwrap()
    }

    /// Gives or takes what is missing to this balance, as the operator does by hand.
    pub(crate) async fn set_balance(&self, token: &str, credits: &str) {
        let id = self.token(token).await.account;
        let accounts = self.reader().accounts(None).await.unwrap();
        let balance = accounts.into_iter().find(|account| account.id == id).unwrap().balance;
        let amount = credits.parse::<Money>().unwrap().checked_sub(balance).unwrap();
        let command = Command::Credit {
            now: self.app.clock.now(),
            account: id,
            kind: Kind::Adjustment,
            amount,
            reference: None,
            reason: "as the test wants it".to_owned(),
        };
        self.app.engine.apply(vec![command]).await.unwrap().remove(0).unwrap();
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// One call on a connection of its own.
    pub(crate) async fn call(&self, request: &Request) -> Answer {
        self.connect().await.exchange(request).await
    }

    /// A method called by Alice's live token with JSON, as most clients do.
    pub(crate) async fn api(&self, method: &str, parameters: Value) -> Answer {
        self.api_as(ALICE, method, parameters).await
    }

    pub(crate) async fn api_as(&self, token: &str, method: &str, parameters: Value) -> Answer {
        self.call(&Request::post(&format!("/{method}")).bearer(token).json(parameters)).await
    }

    /// Sends a message that must be accepted; its request id.
    pub(crate) async fn send(&self, parameters: Value) -> String {
        let answer = self.api("sendVerificationMessage", parameters).await;
        answer.result()["request_id"].as_str().unwrap().to_owned()
    }

    /// Makes all of these calls at once, over as many connections as a process may be expected to have, each request
    /// on its way before any answer is awaited. The answers come in the order of the requests.
    pub(crate) async fn at_once(&self, requests: &[Request]) -> Vec<Answer> {
        const CONNECTIONS: usize = 125;
        let lane = async |lane: usize| {
            let mut connection = self.connect().await;
            let mine: Vec<_> = requests.iter().enumerate().skip(lane).step_by(CONNECTIONS).collect();
            let bytes: Vec<u8> = mine.iter().flat_map(|(_, request)| request.bytes()).collect();
            connection.send(&bytes).await;
            let mut answers = Vec::new();
            for (at, _) in mine {
                answers.push((at, connection.answer().await.expect("an answer")));
            }
            answers
        };
        let lanes = futures_util::future::join_all((0..CONNECTIONS.min(requests.len())).map(lane)).await;
        let mut answers: Vec<_> = lanes.into_iter().flatten().collect();
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Listens to the sandbox.
    pub(crate) async fn events(&self) -> Events {
        Events::listen(self.connect().await, &Request::get("/sandbox/events")).await
    }

    /// Waits until the timeline of a request holds an event of this name.
    pub(crate) async fn until(&self, request: &str, event: &str) {
        let named = |line: &String| line.split(' ').next() == Some(event);
        self.until_told(request, event, |timeline| timeline.iter().any(named)).await;
    }

    /// Waits until the timeline of a request is as it is to be, which is `what`. Returns it.
    pub(crate) async fn until_told(
        &self,
        request: &str,
        what: &str,
        ready: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        // Listening comes before looking, so that nothing falls in between.
        let mut changed = self.app.changed.subscribe();
        let told = async {
            loop {
                let timeline = self.timeline(request).await;
                if ready(&timeline) {
                    return timeline;
                }
                // Having missed changes is as good as having heard one.
                let _ = changed.recv().await;
            }
        };
        must(&format!("{request} to be {what}"), told).await
    }

    /// Where a request stands on the wire.
    pub(crate) async fn status(&self, request: &str) -> Value {
        self.api("checkVerificationStatus", json!({ "request_id": request })).await.result()
    }

    /// The delivery status of a request on the wire.
    pub(crate) async fn delivery(&self, request: &str) -> String {
        self.status(request).await["delivery_status"]["status"].as_str().unwrap().to_owned()
    }

    /// The timeline of a request: names and details.
    pub(crate) async fn timeline(&self, request: &str) -> Vec<String> {
        let row = self.reader().request(RequestId::parse(request).unwrap()).await.unwrap().unwrap();
        let event = |line: &str| line.split_once(' ').unwrap().1.to_owned();
        row.timeline.lines().map(event).collect()
    }

    /// Stops the workers as a server that is told to stop does, one without patience for anything but its channels.
    pub(crate) async fn finish_workers(&mut self) {
        self.workers.take().unwrap().stop(Duration::from_millis(1)).await;
    }

    /// Sends a message and waits for an event of its timeline; its request id.
    pub(crate) async fn send_until(&self, parameters: Value, event: &str) -> String {
        let request = self.send(parameters).await;
        self.until(&request, event).await;
        request
    }

    /// Moves a manual clock, and wakes whoever waits for it.
    pub(crate) fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
        self.app.wakes.requests.now();
        self.app.wakes.reports.now();
    }

    /// A report as the database holds it, once `ready` says so of it.
    ///
    /// That an attempt was written down is told to nobody. So the engine is asked for a round, again and again: what a
    /// worker had handed in before is committed when that is answered.
    pub(crate) async fn report(
        &self,
        request: &str,
        seq: u8,
        ready: impl Fn(&ReportState) -> bool,
    ) -> ReportState {
        let settled = async {
            loop {
                if let Some(report) = self.read_report(request, seq).await.filter(|report| ready(report)) {
                    return report;
                }
                self.app.engine.apply(Vec::new()).await.unwrap();
            }
        };
        must("a report to be written down", settled).await
    }

    async fn read_report(&self, request: &str, seq: u8) -> Option<ReportState> {
        let request: i64 = request.parse().unwrap();
        let query = format!(
            "SELECT state, attempts, due_at, leased, last_result FROM report
             WHERE request_id = {request} AND seq = {seq}"
        );
        match &self.home.as_ref().unwrap().place {
            Place::Directory(directory) => {
                let row = |row: &rusqlite::Row<'_>| {
                    Ok(ReportState {
                        state: row.get(0)?,
                        attempts: row.get(1)?,
                        due_at: Time::from_micros(row.get(2)?),
                        leased: row.get(3)?,
                        last_result: row.get(4)?,
                    })
                };
                file(directory).query_row(&query, [], row).ok()
            }
            Place::Postgres(database) => {
                let found = database.client().await.query_opt(&query, &[]).await.unwrap();
                found.map(|row| ReportState {
                    state: row.get(0),
                    attempts: u8::try_from(row.get::<_, i16>(1)).unwrap(),
                    due_at: Time::from_micros(row.get(2)),
                    leased: row.get::<_, i16>(3) != 0,
                    last_result: row.get(4),
                })
            }
        }
    }
}

fn file(directory: &TempDir) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(directory.path().join("chappe.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database
}

/// A report as the database holds it.
#[derive(Clone, Debug)]
pub(crate) struct ReportState {
    pub(crate) state: String,
    pub(crate) attempts: u8,
    pub(crate) due_at: Time,
    pub(crate) leased: bool,
    pub(crate) last_result: Option<String>,
}

impl Drop for Server {
    /// Whatever a test did: the books must be right.
    fn drop(&mut self) {
        self.halt();
        if !std::thread::panicking() {
            let Some(home) = &self.home else { return };
            let findings = home.audit();
            assert!(findings.is_empty(), "the audit found: {findings:#?}");
        }
    }
}
