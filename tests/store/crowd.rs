//! A house in which every table that grows has grown: two large customers, and a crowd of small ones around them.
//!
//! Rows are put in by the thousand, past the rules, and as far as pages open what is sealed in them, the newest ones are
//! made as they are in life.

use crate::house::{House, Place, channel, fresh_id, vault};
use crate::reference::{Order, PHONE, START, phone, to};
use crate::requests::APART;
use chappe::store::console::people::{self, CustomerId, PersonId, Role};
use chappe::store::console::sessions::{self, NewSession};
use chappe::store::{Change, NewToken, Statement};
use chappe_core::command::Caller;
use chappe_core::text::Username;
use chappe_core::{ChannelEvent, Command, Mode, Phone, RequestId};

/// How many requests, movements and entries of the log there are of each large customer.
pub(crate) const MANY: i64 = 60_000;
/// How many customers there are in the crowd, each with people, tokens and payments of its own.
pub(crate) const CROWD: i64 = 20_000;
/// How many there are of what a customer has some of: tokens, team-mates' sessions, messages in the sandbox.
const SOME: i64 = 60;

const NUMBERS: &str = "WITH RECURSIVE numbers (n) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT n + 1 FROM numbers \
                       WHERE n < $1)";

/// What a large customer has that pages are asked for.
pub(crate) struct Known {
    pub(crate) caller: Caller,
    pub(crate) name: &'static str,
    pub(crate) customer: CustomerId,
    pub(crate) person: PersonId,
    pub(crate) phone: Phone,
    pub(crate) session: [u8; 32],
    /// Its newest message, which is in the sandbox, and its newest one with reports.
    pub(crate) newest: RequestId,
    pub(crate) reported: RequestId,
}

impl House {
    /// Carries statements out, each with the value of its `$1`.
    async fn put(&mut self, statements: &[(&str, i64)]) {
        for (text, count) in statements {
            let text = self.spelled(text);
            let put = Statement::new(text.clone()).with(*count);
            assert!(self.store.change(&Change::default().must(put)).await.unwrap(), "{text}");
        }
    }

    /// A text with what stands for `numbers`, and for bytes that differ from row to row, which each database makes its own
    /// way.
    fn spelled(&self, text: &str) -> String {
        let (before, after) = match &self.place {
            Place::Sqlite(_) => ("CAST(", " AS BLOB)"),
            Place::Postgres(_) => ("convert_to(", ", 'UTF8')"),
        };
        let bytes = |name: &str| format!("{before}CAST({name} AS TEXT){after}");
        text.replace("NUMBERS", NUMBERS)
            .replace("BYTES(n)", &bytes("n"))
            .replace("BYTES(id)", &bytes("customer.id"))
            .replace("START", &START.micros().to_string())
    }

    /// Fills every table: with a large customer that was quiet of late, and one that was not.
    pub(crate) async fn crowd(&mut self) -> [Known; 2] {
        self.crowd_around().await;
        let (bob, alice) = ((self.people.bob, "bob"), (self.people.alice, "alice"));
        self.large_account(bob, 1).await;
        self.large_account(alice, 2).await;
        self.fill_reports().await;
        let known = [self.what_is_opened(bob, 1).await, self.what_is_opened(alice, 2).await];
        // Nobody tells SQLite how many rows there are. PostgreSQL looks for itself, now and then.
        if let Place::Postgres(database) = &self.place {
            database.run("VACUUM ANALYZE").await;
        }
        known
    }

    async fn crowd_around(&mut self) {
        let crowd = "customer.name LIKE 'crowd %'";
        let of_crowd = |text: &str| text.replace("CROWD", crowd);
        self.put(&[(
            "INSERT INTO customer (name, created_at) NUMBERS SELECT 'crowd ' || n, START FROM numbers",
            CROWD,
        )])
        .await;
        for text in [
            "INSERT INTO account (customer_id, mode, balance, created_at)
             SELECT id, 'live', 5000000, START FROM customer WHERE CROWD AND id <> $1",
            "INSERT INTO account (customer_id, mode, balance, created_at)
             SELECT id, 'test', 5000000, START FROM customer WHERE CROWD AND id <> $1",
            "INSERT INTO token (account_id, name, digest, sealed, created_at)
             SELECT account.id, 'first', BYTES(id), BYTES(id), START FROM customer
             JOIN account ON account.customer_id = customer.id AND account.mode = 'live' WHERE CROWD AND account.id <> $1",
            "INSERT INTO sender (account_id, username, verified, created_at)
             SELECT account.id, 'crowd_news', 1, START FROM customer
             JOIN account ON account.customer_id = customer.id WHERE CROWD AND account.id <> $1",
            "INSERT INTO person (phone_key, phone_sealed, name, operator, created_at)
             SELECT customer.id, BYTES(id), name, 0, START FROM customer WHERE CROWD AND id <> $1",
            "INSERT INTO member (customer_id, person_id, role, created_at)
             SELECT customer.id, person.id, 'owner', START FROM customer
             JOIN person ON person.phone_key = customer.id WHERE CROWD AND customer.id <> $1",
            "INSERT INTO session (digest, id, person_id, customer_id, mode, created_at, seen_at, confirmed_at, address, agent)
             SELECT BYTES(id), customer.id, person.id, customer.id, 'live', START, START, START, '192.0.2.1', 'Netscape'
             FROM customer JOIN person ON person.phone_key = customer.id WHERE CROWD AND customer.id <> $1",
            "INSERT INTO login (digest, phone_key, phone_sealed, attempts, created_at, address)
             SELECT BYTES(id), id, BYTES(id), 0, START, 'crowd ' || id FROM customer WHERE CROWD AND id <> $1",
            "INSERT INTO payment (id, provider, account_id, amount, price, link, state, charge, payer, refunded, created_at,
                                  changed_at)
             SELECT 'crowd ' || customer.id, 'stripe', account.id, 1000000, '100 eur', '', 'paid', 'pi ' || customer.id, '',
                    0, START, START
             FROM customer JOIN account ON account.customer_id = customer.id AND account.mode = 'live'
             WHERE CROWD AND account.id <> $1",
            "INSERT INTO audit_log (at, customer_id, who, action, detail, address)
             SELECT START, id, name, 'log_in', '', '192.0.2.1' FROM customer WHERE CROWD AND id <> $1",
            "INSERT INTO day SELECT account.id, 20775, 'IT', 'sms', 0, 1, 1, 0, 0, 0, 0, 10000, 0
             FROM account JOIN customer ON customer.id = account.customer_id WHERE CROWD AND account.id <> $1",
        ] {
            self.put(&[(of_crowd(text).as_str(), 0)]).await;
        }
    }

    /// Requests, reports, movements, days and entries of the log. Each large customer's are newer than those of the one
    /// before it.
    async fn large_account(&mut self, (caller, name): (Caller, &str), place: i64) {
        let account = caller.account.0;
        let newest = RequestId::from_number(fresh_id().number() + place * MANY * APART).unwrap();
        self.command(to(PHONE).check_command(caller, self.now, newest)).await.unwrap();
        self.fill(newest, MANY).await;
        let first = self.account(name).await.transfers;
        let customer = self.reader.customer_named(name).await.unwrap().unwrap().0;
        let floor = RequestId::floor(START).number();
        let movement = format!(
            "INSERT INTO transfer (account_id, seq, debit, credit, amount, kind, request_id, reference, reason,
                                   balance_after, at)
             NUMBERS SELECT {account}, {first} + n,
                 CASE WHEN n % 200 = 0 THEN 2 WHEN n % 200 = 1 THEN 1 ELSE {account} END,
                 CASE WHEN n % 200 < 2 THEN {account} ELSE 1 END, 10000,
                 CASE n % 200 WHEN 0 THEN 'deposit' WHEN 1 THEN 'refund' ELSE 'charge' END,
                 CASE WHEN n % 200 = 0 THEN NULL ELSE {floor} - n * 1000 - {account} END, NULL, NULL, 5000000,
                 START - ({MANY} - n) * 60000000
             FROM numbers"
        );
        let entry = format!(
            "INSERT INTO audit_log (at, customer_id, who, action, detail, address)
             NUMBERS SELECT START - ({MANY} - n) * 60000000, {customer}, 'Anna',
                 CASE n % 50 WHEN 0 THEN 'token.create' WHEN 2 THEN 'member.add' WHEN 4 THEN 'sender.check'
                             ELSE 'log_in' END, '', '192.0.2.1' FROM numbers"
        );
        let day = format!(
            "INSERT INTO day NUMBERS SELECT {account}, 20776 - n / 30, 'C' || (n % 10), 'channel ' || (n / 10 % 3),
                 9, 9, 8, 7, 1, 0, 6, 90000, 10000 FROM numbers WHERE n < 30000"
        );
        let count = format!("UPDATE account SET transfers = transfers + $1 WHERE id = {account}");
        let payment = format!(
            "INSERT INTO payment (id, provider, account_id, amount, price, link, state, charge, payer, refunded,
                                  created_at, changed_at)
             NUMBERS SELECT '{name} ' || n, 'stripe', {account}, 1000000, '100 eur', '', 'paid', '{name} ' || n, '', 0,
                 START - n * 86400000000, START FROM numbers"
        );
        self.put(&[(&movement, MANY), (&entry, MANY), (&day, MANY), (&count, MANY), (&payment, SOME)]).await;
    }

    /// What pages open, and so has to be sealed as it is in life.
    async fn what_is_opened(&mut self, (caller, name): (Caller, &'static str), place: i64) -> Known {
        self.credit(caller, 100_000_000, None).await.unwrap();
        let (mut newest, mut reported) = (None, None);
        for at in 0..SOME {
            let number = format!("+3912345{:05}", place * 1_000 + at);
            let hops: &[&str] = if at % 2 == 0 { &["sms"] } else { &["sandbox"] };
            let order = Order { callback: true, hops, ..to(&number) };
            let id = || RequestId::from_number(fresh_id().number() + place * MANY * APART).unwrap();
            let request = id();
            self.command(order.send_command(caller, self.now, request)).await.unwrap();
            if at % 2 == 0 {
                let (now, channel) = (self.now, channel("sms"));
                let events = vec![ChannelEvent::Delivered, ChannelEvent::Read];
                self.command(Command::Channel { now, request, hop: 0, channel, events }).await.unwrap();
                reported = Some(request);
            }
            self.command(to(&number).check_command(caller, self.now, id())).await.unwrap();
            newest = Some(request);
            let (text, account) = (format!("another token of {name}'s {at}"), caller.account);
            let token = NewToken { account, name: "more", text: &text, expires_at: None, allowed: &[] };
            self.store.create_token(&token, self.now).await.unwrap();
        }
        let sender = Username::parse(&format!("{name}_news")).unwrap();
        self.store.put_sender(caller.account, &sender, false, self.now).await.unwrap();
        let customer = self.reader.customer_named(name).await.unwrap().unwrap();
        let phone = phone(&format!("+39333000000{place}"));
        self.store.change(&people::know(&vault(), phone, name, START)).await.unwrap();
        let person = self.reader.person_of(phone).await.unwrap().unwrap().id;
        self.store.change(&people::join(customer, person, Role::Owner, START)).await.unwrap();
        let mut session = [0; 32];
        for at in 0..SOME {
            session = [u8::try_from(at + place * SOME).unwrap(); 32];
            let begun = sessions::begin(&vault(), [255; 32], phone, None, self.now, "192.0.2.7");
            self.store.change(&begun).await.unwrap();
            let new = NewSession {
                digest: session,
                id: -1 - at - place * SOME,
                person,
                customer: Some(customer),
                mode: Mode::Live,
                now: self.now,
                address: "192.0.2.7",
                agent: "Netscape",
            };
            assert!(self.store.change(&sessions::end([255; 32]).with(sessions::open(&new))).await.unwrap());
        }
        let (newest, reported) = (newest.unwrap(), reported.unwrap());
        Known { caller, name, customer, person, phone, session, newest, reported }
    }
}
