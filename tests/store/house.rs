//! A fresh database of either kind, furnished with two customers, and hands to work on it.

use crate::postgres::{Database, database};
use crate::reference::{Order, mac, rules};
use chappe::store::{AccountRow, Durability, NewToken, Reader, Store, StoreError, SubscriberRow};
use chappe::vault::{MasterKey, Vault};
use chappe_core::command::{Caller, Entered};
use chappe_core::ledger::Kind;
use chappe_core::text::ChannelName;
use chappe_core::{
    Book, Command, Keys, Mode, Money, News, Outcome, Phone, Rejection, Request, RequestId, Rules, Time, View,
    decide,
};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) use crate::reference::START;

/// Makes two tests of each scenario: one per database.
macro_rules! on_every_database {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::house::House::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::house::House::postgres().await).await;
            })*
        }
        /// All of them, one after the other, each in a house of its own.
        #[cfg(feature = "simulation")]
        pub(crate) async fn all(house: impl AsyncFn() -> crate::house::House) {
            $($name(house().await).await;)*
        }
    };
}
pub(crate) use on_every_database;

/// Where a database is.
pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres(Database),
}

/// A database, and one store over it that serves.
pub(crate) struct House {
    pub(crate) place: Place,
    pub(crate) store: Store,
    pub(crate) reader: Reader,
    pub(crate) people: People,
    pub(crate) rules: Rules,
    pub(crate) now: Time,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct People {
    pub(crate) alice: Caller,
    pub(crate) twin: Caller,
    pub(crate) bob: Caller,
}

pub(crate) const WINDOW: Duration = Duration::from_secs(600);

pub(crate) fn vault() -> Vault {
    Vault::new(&MasterKey::from_bytes([7; 32]))
}

/// An id that no other call gives, of lane 0, from about when the tests begin.
pub(crate) fn fresh_id() -> RequestId {
    static MADE: AtomicI64 = AtomicI64::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    RequestId::from_number(RequestId::floor(START).number() / 8 * 8 + 8 * made).unwrap()
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

/// Somebody who can be reached through a channel that serves subscribers alone.
pub(crate) fn subscriber(name: &str, phone: Phone, chat_id: i64) -> SubscriberRow {
    let language = "pt-br".to_owned();
    SubscriberRow { channel: channel(name), phone, chat_id, language, blocked: false, created_at: START }
}

/// A request as a store loads it for a batch.
pub(crate) async fn stored(store: &mut Store, id: RequestId) -> Option<Request> {
    let mut keys = Keys::default();
    keys.requests.insert(id);
    store.transact(&keys, |book| book.request(id).cloned()).await.unwrap().0
}

pub(crate) async fn run(store: &mut Store, rules: &Rules, commands: &[Command]) -> Batch {
    let mut keys = Keys::default();
    commands.iter().for_each(|command| command.add_keys(&mut keys));
    let judge = |book: &mut Book| -> Vec<Result<Outcome, Rejection>> {
        book.lease_room = 8;
        commands.iter().map(|command| decide(rules, book, command)).collect()
    };
    store.transact(&keys, judge).await
}

/// What came of a batch.
pub(crate) type Batch = Result<(Vec<Result<Outcome, Rejection>>, News), StoreError>;

pub(crate) fn credit(caller: Caller, now: Time, micros: i64, reference: Option<&str>) -> Command {
    Command::Credit {
        now,
        account: caller.account,
        kind: if micros < 0 { Kind::Adjustment } else { Kind::Deposit },
        amount: Money::from_micros(micros),
        reference: reference.map(str::to_owned),
        reason: "test".to_owned(),
    }
}

impl House {
    pub(crate) async fn sqlite() -> House {
        let place = Place::Sqlite(tempfile::tempdir().unwrap());
        House::furnish(place).await
    }

    pub(crate) async fn postgres() -> House {
        House::furnish(Place::Postgres(database().await)).await
    }

    /// Alice and Bob, with one credit on every account.
    pub(crate) async fn furnish(place: Place) -> House {
        let mut store = place.open().await;
        store.start_serving(START, WINDOW).await.unwrap();
        let reader = store.reader().unwrap();
        let mut callers = Vec::new();
        for name in ["alice", "bob"] {
            store.create_customer(name, START).await.unwrap();
            for mode in [Mode::Live, Mode::Test] {
                let account = reader.account(name, mode).await.unwrap().id;
                let text = format!("token-of-{name}-{}", mode.as_str());
                let token = NewToken { account, name: "first", text: &text, expires_at: None, allowed: &[] };
                let token = store.create_token(&token, START).await.unwrap();
                callers.push(Caller { account, token, mode });
            }
        }
        let people = People { alice: callers[0], twin: callers[1], bob: callers[2] };
        let mut house = House { place, store, reader, people, rules: rules(), now: START };
        for caller in [people.alice, people.twin, people.bob] {
            house.credit(caller, 1_000_000, None).await.unwrap();
        }
        house
    }

    /// The database, where it is PostgreSQL.
    pub(crate) fn database(&self) -> &Database {
        match &self.place {
            Place::Postgres(database) => database,
            Place::Sqlite(_) => panic!("this is SQLite"),
        }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, seconds: u64) -> &mut House {
        self.now = self.now + Duration::from_secs(seconds);
        self
    }

    pub(crate) async fn batch(&mut self, commands: &[Command]) -> Vec<Result<Outcome, Rejection>> {
        run(&mut self.store, &self.rules, commands).await.unwrap().0
    }

    pub(crate) async fn command(&mut self, command: Command) -> Result<Outcome, Rejection> {
        self.batch(&[command]).await.remove(0)
    }

    async fn view(&mut self, command: Command) -> Result<View, Rejection> {
        match self.command(command).await? {
            Outcome::Request(view) => Ok(*view),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn credit(
        &mut self,
        caller: Caller,
        micros: i64,
        reference: Option<&str>,
    ) -> Result<Outcome, Rejection> {
        self.command(credit(caller, self.now, micros, reference)).await
    }

    pub(crate) async fn balance(&mut self, caller: Caller) -> i64 {
        match self.command(Command::Balance { caller }).await {
            Ok(Outcome::Balance(balance)) => balance.micros(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, caller: Caller, order: &Order<'_>) -> Result<View, Rejection> {
        self.view(order.send_command(caller, self.now, fresh_id())).await
    }

    pub(crate) async fn enter(
        &mut self,
        caller: Caller,
        request: RequestId,
        code: &str,
    ) -> Result<View, Rejection> {
        let entered = Some(Entered { text: code.into(), mac: mac(request, code) });
        self.view(Command::CheckStatus { caller, now: self.now, request, entered }).await
    }

    pub(crate) async fn status(&mut self, caller: Caller, request: RequestId) -> Result<View, Rejection> {
        self.view(Command::CheckStatus { caller, now: self.now, request, entered: None }).await
    }

    /// A customer's live account as people see it.
    pub(crate) async fn account(&self, customer: &str) -> AccountRow {
        self.reader.account(customer, Mode::Live).await.unwrap()
    }

    /// The books must be right.
    pub(crate) async fn audit(&self) {
        let findings = self.reader.audit(|_| ()).await.unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

impl Place {
    pub(crate) async fn open(&self) -> Store {
        match self {
            Place::Sqlite(directory) => {
                Store::open_sqlite(directory.path(), vault(), Durability::ProcessOnly).unwrap()
            }
            Place::Postgres(database) => Store::open_postgres(&database.url(), vault()).await.unwrap(),
        }
    }
}
