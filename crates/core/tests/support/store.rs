//! A store of plain maps that holds the rules to what a database would: unique keys, rows that exist, balances that
//! add up. It loads no row that a command did not name.

use chappe_core::account::Account;
use chappe_core::book::{ChannelReference, Remembered, Sender};
use chappe_core::ledger::{Cause, Kind, Transfer};
use chappe_core::limits::Window;
use chappe_core::report::Report;
use chappe_core::request::TIMELINE_MAX;
use chappe_core::statistics::{Counters, DayKey};
use chappe_core::text::{ChannelName, Username};
use chappe_core::timeline::Event;
use chappe_core::{
    AccountId, Book, Command, Country, Delivery, Keys, Mode, Money, Phone, ReportId, Request, RequestId,
    Rules, Time, Work, decide,
};
use chappe_core::{command::Outcome, command::Rejection};
use std::collections::{BTreeMap, BTreeSet};

type Answer = Result<Outcome, Rejection>;

/// The rows.
pub(crate) struct Store {
    pub(crate) rules: Rules,
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) transfers: BTreeMap<AccountId, Vec<Transfer>>,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    pub(crate) timelines: BTreeMap<RequestId, Vec<Event>>,
    pub(crate) senders: BTreeMap<(AccountId, Username), Sender>,
    pub(crate) sends: BTreeMap<(Mode, Phone), Window>,
    pub(crate) failures: BTreeMap<(AccountId, Phone), Window>,
    pub(crate) remembered: BTreeMap<(AccountId, [u8; 32]), Remembered>,
    pub(crate) reports: BTreeMap<ReportId, Report>,
    pub(crate) days: BTreeMap<DayKey, Counters>,
    /// How many messages the worker beside this engine takes.
    pub(crate) lease_room: usize,
    /// What the last batch asked to be done.
    pub(crate) work: Vec<Work>,
    /// Who has subscribed to which channel.
    pub(crate) subscribers: BTreeSet<(ChannelName, Phone)>,
    /// What channels call messages.
    pub(crate) channel_references: BTreeMap<(ChannelName, String), ChannelReference>,
    references: BTreeSet<String>,
    by_request: BTreeSet<(RequestId, Kind)>,
}

impl Store {
    pub(crate) fn new(rules: Rules) -> Store {
        Store {
            rules,
            accounts: BTreeMap::new(),
            transfers: BTreeMap::new(),
            requests: BTreeMap::new(),
            timelines: BTreeMap::new(),
            senders: BTreeMap::new(),
            sends: BTreeMap::new(),
            failures: BTreeMap::new(),
            remembered: BTreeMap::new(),
            reports: BTreeMap::new(),
            days: BTreeMap::new(),
            lease_room: 8,
            work: Vec::new(),
            subscribers: BTreeSet::new(),
            channel_references: BTreeMap::new(),
            references: BTreeSet::new(),
            by_request: BTreeSet::new(),
        }
    }

    /// Runs one command as a batch of its own.
    pub(crate) fn run(&mut self, command: Command) -> Answer {
        self.run_batch(vec![command]).pop().unwrap()
    }

    /// Runs commands over one book, as an engine under load does.
    pub(crate) fn run_batch(&mut self, commands: Vec<Command>) -> Vec<Answer> {
        let mut keys = Keys::default();
        commands.iter().for_each(|command| command.add_keys(&mut keys));
        let mut book = self.load(&keys);
        let answers = commands.into_iter().map(|command| self.decide(&mut book, command)).collect();
        self.save(&book);
        self.work = book.work;
        answers
    }

    /// How many requests and reports a command would change, without carrying it out.
    pub(crate) fn rows_changed_by(&self, command: &Command) -> usize {
        let mut keys = Keys::default();
        command.add_keys(&mut keys);
        let mut book = self.load(&keys);
        self.decide(&mut book, command.clone()).unwrap();
        book.changed_requests().count() + book.changed_reports().count()
    }

    fn decide(&self, book: &mut Book, command: Command) -> Answer {
        let before = Changes::of(book);
        let said = format!("{command:?}");
        let answer = decide(&self.rules, book, &command);
        if answer.is_err() {
            let after = Changes::of(book);
            assert!(
                after.differ_in_rate_alone(&before, &self.accounts),
                "{said} was refused and left a trace"
            );
        }
        answer
    }

    fn load(&self, keys: &Keys) -> Book {
        let mut book = Book::default();
        book.lease_room = self.lease_room;
        let mut accounts = keys.accounts.clone();
        for request in keys.requests.iter().filter_map(|id| self.requests.get(id)) {
            assert!(request.fresh_events.is_empty(), "what happened was not written down");
            accounts.insert(request.account);
            book.put_request(request.clone());
        }
        for account in accounts.iter().filter_map(|id| self.accounts.get(id)) {
            book.put_account(account.clone());
        }
        for request in keys.attempts.iter().filter_map(|id| self.requests.get(id)) {
            if let Some(window) = self.failures.get(&(request.account, request.phone)) {
                book.put_failures(request.account, request.phone, window.clone());
            }
        }
        for (mode, phone) in &keys.sends {
            if let Some(window) = self.sends.get(&(*mode, *phone)) {
                book.put_sends(*mode, *phone, window.clone());
            }
        }
        for key in &keys.senders {
            if let Some(sender) = self.senders.get(key) {
                book.put_sender(key.0, key.1.clone(), *sender);
            }
        }
        for key in &keys.idempotency {
            if let Some(remembered) = self.remembered.get(key) {
                book.put_remembered(key.0, key.1, *remembered);
            }
        }
        keys.reports
            .iter()
            .filter_map(|id| self.reports.get(id))
            .for_each(|row| book.put_report(row.clone()));
        keys.references.intersection(&self.references).for_each(|row| book.put_reference(row.clone()));
        for (channel, phone) in keys.subscribers.intersection(&self.subscribers) {
            book.put_subscriber(channel.clone(), *phone);
        }
        book
    }

    fn save(&mut self, book: &Book) {
        let rows = book.changed_accounts().count() + book.changed_requests().count() + book.transfers().len();
        let windows = book.changed_sends().count() + book.changed_failures().count();
        let others = book.new_remembered().count() + book.changed_reports().count();
        let named = book.channel_references().len();
        assert_eq!(book.is_changed(), rows + windows + others + named > 0);
        for transfer in book.transfers() {
            self.insert_transfer(transfer);
        }
        for account in book.changed_accounts() {
            let transfers = self.transfers.get(&account.id).map_or(&[][..], Vec::as_slice);
            let sum = transfers.iter().map(signed_micros).sum::<i64>();
            assert_eq!(account.balance.micros(), sum, "a balance is the sum of its transfers");
            assert_eq!(account.transfers, transfers.len() as i64);
            assert!(account.balance >= Money::ZERO, "a balance is never below zero");
            self.accounts.insert(account.id, account.clone()).expect("an account exists before it changes");
        }
        for (request, new) in book.changed_requests() {
            self.save_request(request, new);
        }
        for (report, new) in book.changed_reports() {
            self.save_report(report, new);
        }
        for (limit, window) in book
            .changed_sends()
            .map(|(_, window)| (self.rules.sends_per_phone, window))
            .chain(book.changed_failures().map(|(_, window)| (self.rules.failures_per_phone, window)))
        {
            let (first, last) = (window.moments().first().unwrap(), window.moments().last().unwrap());
            assert!(window.moments().len() <= limit.max && last.since(*first) < limit.within, "bounded");
        }
        self.sends.extend(book.changed_sends().map(|(key, window)| (key, window.clone())));
        self.failures.extend(book.changed_failures().map(|(key, window)| (key, window.clone())));
        self.remembered.extend(book.new_remembered().map(|(key, remembered)| (key, *remembered)));
        for named in book.channel_references() {
            self.save_channel_reference(named);
        }
        for (key, counters) in book.statistics() {
            let row = self.days.entry(key).or_default();
            *row += counters;
            assert!(row.columns().iter().all(|column| *column >= 0), "a day counted below zero");
        }
        self.days.retain(|_, counters| !counters.is_zero());
    }

    fn insert_transfer(&mut self, transfer: &Transfer) {
        let mode = self.accounts.get(&transfer.account).expect("a transfer needs its account").mode;
        let rows = self.transfers.entry(transfer.account).or_default();
        let before = rows.last().map_or(0, |last| last.balance_after.micros());
        assert_eq!(transfer.seq, rows.len() as i64 + 1, "transfers are numbered without gaps");
        assert!(transfer.amount.is_positive());
        assert_eq!(transfer.balance_after.micros(), before + signed_micros(transfer));
        let house = match (transfer.kind, mode) {
            (Kind::Charge | Kind::Refund, Mode::Live) => 1,
            (Kind::Deposit | Kind::Adjustment, Mode::Live) => 2,
            (Kind::Charge | Kind::Refund, Mode::Test) => 3,
            (Kind::Deposit | Kind::Adjustment, Mode::Test) => 4,
        };
        let (own, house) = (transfer.account, AccountId(house));
        assert!([(own, house), (house, own)].contains(&(transfer.debit, transfer.credit)), "two sides");
        match (&transfer.cause, transfer.kind) {
            (Cause::Request(id), Kind::Charge | Kind::Refund) => {
                assert!(self.by_request.insert((*id, transfer.kind)), "a second {:?} of {id}", transfer.kind);
            }
            (Cause::External { reference, .. }, Kind::Deposit | Kind::Adjustment) => {
                let fresh = reference.clone().is_none_or(|reference| self.references.insert(reference));
                assert!(fresh, "a reference was booked twice");
            }
            (cause, kind) => panic!("{kind:?} because of {cause:?}"),
        }
        rows.push(transfer.clone());
    }

    fn save_request(&mut self, request: &Request, new: bool) {
        let mut row = request.clone();
        let timeline = self.timelines.entry(row.id).or_default();
        row.events_stored += row.fresh_events.len() as u16;
        timeline.append(&mut row.fresh_events);
        assert_eq!(usize::from(row.events_stored), timeline.len());
        assert!(row.events_stored <= TIMELINE_MAX);
        let old = self.requests.insert(row.id, row);
        assert_eq!(old.is_none(), new, "a row is inserted once and updated after");
        if let Some(old) = old {
            let fixed = |row: &Request| (row.account, row.phone, row.country, row.created_at, row.cost);
            assert_eq!(fixed(&old), fixed(request));
            assert!(request.refunded || !old.refunded, "a refund was taken back");
            assert!(old.message.is_none() || request.message.is_some());
        }
    }

    fn save_channel_reference(&mut self, named: &ChannelReference) {
        let request = self.requests.get(&named.request).expect("a channel names a message that there is");
        let hop = request.route.get(usize::from(named.hop)).expect("a hop of the route");
        assert_eq!(hop.channel, named.channel);
        assert!(!named.channel.is_sandbox(), "the sandbox has no names of its own");
        let key = (named.channel.clone(), named.reference.clone());
        self.channel_references.insert(key, named.clone());
    }

    fn save_report(&mut self, report: &Report, new: bool) {
        let request = self.requests.get(&report.id.request).expect("a report needs its request");
        assert!((1..=request.reports).contains(&report.id.seq));
        let old = self.reports.insert(report.id, report.clone());
        assert_eq!(old.is_none(), new, "a row is inserted once and updated after");
        if let Some(old) = old {
            let body = |row: &Report| (row.token, row.delivery, row.verification, row.refunded);
            assert_eq!(body(&old), body(report), "every attempt sends the same bytes");
        }
    }

    /// The reports of a request, in order.
    pub(crate) fn reports_of(&self, id: RequestId) -> Vec<&Report> {
        self.reports.values().filter(|report| report.id.request == id).collect()
    }

    /// The names of the events in a request's timeline.
    pub(crate) fn timeline(&self, id: RequestId) -> Vec<&'static str> {
        self.timelines.get(&id).into_iter().flatten().map(|event| event.what.name()).collect()
    }

    /// How often a request was charged and refunded.
    pub(crate) fn moved(&self, id: RequestId) -> (bool, bool) {
        let has = |kind| self.by_request.contains(&(id, kind));
        (has(Kind::Charge), has(Kind::Refund))
    }

    /// The statistics, counted anew from all requests.
    pub(crate) fn recount(&self) -> BTreeMap<DayKey, Counters> {
        let mut days: BTreeMap<DayKey, Counters> = BTreeMap::new();
        for request in self.requests.values() {
            let hop = request.message.as_ref().map_or(0, |message| usize::from(message.hop));
            let channel: ChannelName = request.route.get(hop).expect("a hop of the route").channel.clone();
            let (account, country): (AccountId, Country) = (request.account, request.country);
            let day = (request.created_at.micros() / 1_000_000 / 86_400) as i32;
            let row = days.entry(DayKey { account, day, country, channel }).or_default();
            let add = |sum: &mut Money, amount: Money| *sum = sum.checked_add(amount).unwrap();
            row.checked += i64::from(request.ability_checked);
            add(&mut row.charged, request.cost);
            if request.refunded {
                add(&mut row.refunded, request.cost);
            }
            let Some(message) = &request.message else { continue };
            row.sent += 1;
            row.verified += i64::from(message.verified_at.is_some());
            match message.delivery {
                Delivery::Sent => {}
                Delivery::Delivered => row.delivered += 1,
                Delivery::Read => (row.delivered, row.read) = (row.delivered + 1, row.read + 1),
                Delivery::Expired => row.expired += 1,
                Delivery::Revoked => row.revoked += 1,
            }
        }
        days.retain(|_, counters| !counters.is_zero());
        days
    }
}

fn signed_micros(transfer: &Transfer) -> i64 {
    let sign = if transfer.credit == transfer.account { 1 } else { -1 };
    sign * transfer.amount.micros()
}

/// Everything that a book says it changed.
#[derive(PartialEq)]
struct Changes {
    accounts: BTreeMap<AccountId, Account>,
    requests: Vec<(Request, bool)>,
    transfers: Vec<Transfer>,
    sends: Vec<((Mode, Phone), Window)>,
    failures: Vec<((AccountId, Phone), Window)>,
    remembered: Vec<((AccountId, [u8; 32]), Remembered)>,
    reports: Vec<(Report, bool)>,
    channel_references: Vec<ChannelReference>,
    days: BTreeMap<DayKey, Counters>,
    work: Vec<Work>,
    lease_room: usize,
}

impl Changes {
    fn of(book: &Book) -> Changes {
        Changes {
            accounts: book.changed_accounts().map(|account| (account.id, without_rate(account))).collect(),
            requests: book.changed_requests().map(|(request, new)| (request.clone(), new)).collect(),
            transfers: book.transfers().to_vec(),
            sends: book.changed_sends().map(|(key, window)| (key, window.clone())).collect(),
            failures: book.changed_failures().map(|(key, window)| (key, window.clone())).collect(),
            remembered: book.new_remembered().map(|(key, remembered)| (key, *remembered)).collect(),
            reports: book.changed_reports().map(|(report, new)| (report.clone(), new)).collect(),
            channel_references: book.channel_references().to_vec(),
            days: book.statistics(),
            work: book.work.clone(),
            lease_room: book.lease_room,
        }
    }

    /// Asking too often counts also when the answer is no; nothing else may.
    fn differ_in_rate_alone(mut self, before: &Changes, stored: &BTreeMap<AccountId, Account>) -> bool {
        self.accounts.retain(|id, account| {
            before.accounts.contains_key(id) || stored.get(id).map(without_rate).as_ref() != Some(&*account)
        });
        self == *before
    }
}

fn without_rate(account: &Account) -> Account {
    Account { rate_spent_until: Time::from_secs(0), ..account.clone() }
}
