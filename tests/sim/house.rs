//! One run of the real server without its loops: the application over a real file, and the batch loop and the work
//! queue that are stepped by hand, all on this thread.

use crate::auditor::Heard;
use crate::call::Call;
use crate::cast;
use crate::operation::Way;
use axum::Router;
use chappe::app::{App, ConsoleSettings, Engines, Settings};
use chappe::channels::route::Routes;
use chappe::env::{Clock, Random};
use chappe::funding::FundingSettings;
use chappe::net::address::TrustedProxies;
use chappe::net::outbound::OutboundPolicy;
use chappe::store::{Durability, NewToken, Store};
use chappe::vault::{MasterKey, Vault};
use chappe_core::ledger::Kind;
use chappe_core::text::Username;
use chappe_core::{AccountId, Command, Money, Work};
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tempfile::TempDir;
use tower_service::Service;

/// A server that runs.
pub(crate) struct House {
    pub(crate) app: Arc<App>,
    engines: Engines,
    router: Router,
    directory: TempDir,
}

/// What was handed in, until it is answered.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Vec<Heard>>>>;

impl House {
    /// A new database with the cast in it, and its first server.
    pub(crate) fn found(clock: &Clock, seed: u64) -> House {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path());
        let now = clock.now();
        for customer in cast::CUSTOMERS {
            ready(store.create_customer(customer, now)).unwrap();
        }
        for who in 0..cast::ACCOUNTS {
            let account = AccountId(AccountId::FIRST_CUSTOMER + who as i64);
            for which in 0..cast::TOKENS {
                let text = cast::token(who, which);
                let token = NewToken { account, name: "sim", text: &text, expires_at: None, allowed: &[] };
                ready(store.create_token(&token, now)).unwrap();
            }
            if who.is_multiple_of(2) {
                for (name, verified) in [(cast::VERIFIED_SENDER, true), (cast::UNVERIFIED_SENDER, false)] {
                    ready(store.put_sender(account, &Username::parse(name).unwrap(), verified, now)).unwrap();
                }
            }
        }
        let account = |who: usize| AccountId(AccountId::FIRST_CUSTOMER + who as i64);
        ready(store.set_own_number(account(cast::ANNA), Some(cast::phone(cast::OWN)))).unwrap();
        ready(store.set_single_use(account(cast::BERT), true)).unwrap();
        let mut house = House::serve(directory, store, clock, seed);
        let funds = (0..cast::ACCOUNTS).map(|who| Command::Credit {
            now,
            account: account(who),
            kind: Kind::Deposit,
            amount: Money::from_micros(cast::FUNDS),
            reference: None,
            reason: "to begin with".to_owned(),
        });
        let app = house.app.clone();
        house.drive(app.engine.apply(funds.collect())).unwrap();
        house
    }

    /// Kills the server, and starts the next one over a copy of the files as they are at this very moment: a connection
    /// that is closed in good order would tidy them up first. Whatever is in memory is not seen again.
    pub(crate) fn crash(&mut self, clock: &Clock, seed: u64) {
        let directory = tempfile::tempdir().unwrap();
        for name in ["chappe.db", "chappe.db-wal"] {
            let from = self.directory.path().join(name);
            if from.exists() {
                std::fs::copy(from, directory.path().join(name)).unwrap();
            }
        }
        let store = open(directory.path());
        *self = House::serve(directory, store, clock, seed);
    }

    fn serve(directory: TempDir, store: Store, clock: &Clock, seed: u64) -> House {
        let settings = Settings {
            rules: cast::rules(),
            routes: Routes::sandbox(),
            channels: BTreeMap::new(),
            texts: Arc::default(),
            public_url: None,
            queue_max: 1_000,
            trusted_proxies: TrustedProxies::default(),
            proxies_only: false,
            sandbox_by_worker: true,
            funding: FundingSettings { least: Money::ZERO, most: Money::ZERO, stripe: None, stars: None },
            console: ConsoleSettings { sign_up: false, oidc: None },
            outbound: OutboundPolicy::PublicOnly,
            dev: false,
        };
        let built = ready(App::build(store, settings, vault(), clock.clone(), Random::seeded(seed)));
        let (app, engines) = built.unwrap();
        let router = chappe::api::router().with_state(app.clone());
        House { app, engines, router, directory }
    }

    /// Hands a call in, the way that it says.
    pub(crate) fn hand_in(&mut self, call: &Call) -> Answer {
        match call.way {
            Way::Wire => {
                let response = self.router.call(call.http());
                Box::pin(async move {
                    let response = response.await.unwrap();
                    let status = response.status().as_u16();
                    let body = response.into_body().collect().await.unwrap().to_bytes();
                    vec![Heard::Wire(status, String::from_utf8(body.to_vec()).unwrap())]
                })
            }
            Way::Command => {
                let (app, command) = (self.app.clone(), call.command(&self.app));
                Box::pin(async move { vec![Heard::Said(app.engine.submit(command).await)] })
            }
        }
    }

    /// Carries out what waits in the engine, as one batch. Says whether there was anything.
    pub(crate) fn step(&mut self) -> Result<bool, String> {
        ready(self.engines.batches.step()).map_err(|stopped| stopped.to_string())
    }

    /// Steps the engine until this is answered.
    pub(crate) fn drive<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        for _ in 0..4 {
            if let Poll::Ready(output) = poll(future.as_mut()) {
                return output;
            }
            self.step().unwrap();
        }
        panic!("the engine does not answer");
    }

    /// What workers were given to do since they were last asked.
    pub(crate) fn take_work(&mut self) -> Vec<Work> {
        std::iter::from_fn(|| self.engines.work.try_recv().ok()).collect()
    }

    /// Lets the next commit fail.
    pub(crate) fn fail_next_commit(&mut self) {
        self.engines.batches.store_mut().fail_next_commit();
    }

    /// Whether the next commit is to fail.
    pub(crate) fn will_fail(&mut self) -> bool {
        match self.engines.batches.store_mut() {
            Store::Sqlite(writer) => writer.fail_next_commit,
            Store::Postgres(_) => false,
        }
    }
}

fn open(directory: &Path) -> Store {
    Store::open_sqlite(directory, vault(), Durability::ProcessOnly).unwrap()
}

fn vault() -> Vault {
    Vault::new(&MasterKey::from_bytes([7; 32]))
}

/// The output of what needs nobody else to be ready.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("this should not have to wait"),
    }
}

/// Whoever waits here is asked again anyway, so nobody has to be woken.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
