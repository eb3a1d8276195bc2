//! The working set of a batch: the rows that its commands touch, and what they changed.

use crate::account::{Account, Mode};
use crate::code::Code;
use crate::command::Idempotency;
use crate::ids::{AccountId, ReportId, RequestId};
use crate::ledger::Transfer;
use crate::limits::Window;
use crate::money::Money;
use crate::phone::Phone;
use crate::report::Report;
use crate::request::Request;
use crate::route::Route;
use crate::statistics::{Counters, DayKey, contribution};
use crate::text::{ChannelName, Username};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// The names of the rows that a batch needs. Ordered, so that every node locks rows in the same order.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Accounts.
    pub accounts: BTreeSet<AccountId>,
    /// Requests; the accounts that they belong to come along.
    pub requests: BTreeSet<RequestId>,
    /// Requests at whose numbers codes are guessed: the failures of those numbers come along.
    pub attempts: BTreeSet<RequestId>,
    /// Sender channels.
    pub senders: BTreeSet<(AccountId, Username)>,
    /// How often numbers were sent to; real and play messages are counted apart.
    pub sends: BTreeSet<(Mode, Phone)>,
    /// Idempotency keys, by digest.
    pub idempotency: BTreeSet<(AccountId, [u8; 32])>,
    /// Reports.
    pub reports: BTreeSet<ReportId>,
    /// References of payments.
    pub references: BTreeSet<String>,
    /// Whether numbers have subscribed to a channel.
    pub subscribers: BTreeSet<(ChannelName, Phone)>,
}

impl Keys {
    pub(crate) fn subscribed(&mut self, route: &Route, phone: Phone) {
        self.subscribers.extend(route.subscribers_only.iter().map(|channel| (channel.clone(), phone)));
    }

    pub(crate) fn remember(&mut self, account: AccountId, idempotency: Option<Idempotency>) {
        self.idempotency.extend(idempotency.map(|idempotency| (account, idempotency.key)));
    }
}

/// A sender channel of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Whether its ownership was proven.
    pub verified: bool,
}

/// The answer that an idempotency key stands for. The parameters come again with the key, so only what the rules added
/// is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The digest of the method and its parameters.
    pub body: [u8; 32],
    /// The request that was made.
    pub request: RequestId,
    /// Its fee.
    pub cost: Money,
    /// What the account had left.
    pub remaining_balance: Money,
    /// When the message was sent; `None` for checkSendAbility.
    pub sent_at: Option<Time>,
    /// When the key was first used.
    pub at: Time,
}

/// Something to be done outside, after the batch is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Hand a message to a channel.
    Deliver(Job),
    /// Ask a channel what became of a message.
    Poll(Job),
    /// Take a message back from a channel.
    Withdraw(Job),
}

/// A message on its way through a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The request.
    pub request: RequestId,
    /// Which hop it is.
    pub hop: u8,
    /// The channel of that hop.
    pub channel: ChannelName,
    /// Whose message it is.
    pub account: AccountId,
    /// The number.
    pub phone: Phone,
    /// The sender channel, if the caller named one.
    pub sender: Option<Username>,
    /// The code, as long as it is kept.
    pub code: Option<Code>,
    /// When the message was accepted from its caller.
    pub sent_at: Time,
    /// Until when the channel may deliver it: then the next hop has its turn, or nobody could use the code.
    pub until: Time,
    /// When this was asked for.
    pub asked_at: Time,
    /// What the channel calls the message.
    pub reference: Option<String>,
    /// Whether it is known to be on the phone.
    pub delivered: bool,
}

/// What a saved batch means to the rest of the house.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Whether anything was saved.
    pub changed: bool,
    /// What is to be done outside.
    pub work: Vec<Work>,
    /// The requests that changed.
    pub requests: Vec<(AccountId, RequestId)>,
    /// When the first of them is due.
    pub next_due: Option<Time>,
    /// When the first of the reports that changed is due.
    pub next_report: Option<Time>,
}

/// The rows of a batch in memory. [`crate::decide()`] reads and changes them; a store loads them before and saves the
/// changes after.
#[derive(Clone, Debug, Default)]
pub struct Book {
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    pub(crate) senders: BTreeMap<(AccountId, Username), Sender>,
    pub(crate) sends: BTreeMap<(Mode, Phone), Window>,
    pub(crate) failures: BTreeMap<(AccountId, Phone), Window>,
    pub(crate) idempotency: BTreeMap<(AccountId, [u8; 32]), Remembered>,
    pub(crate) reports: BTreeMap<ReportId, Report>,
    pub(crate) references: BTreeSet<String>,
    pub(crate) subscribers: BTreeSet<(ChannelName, Phone)>,
    /// How many messages may be leased at once to the worker beside this engine; the rest wait as rows.
    pub lease_room: usize,
    /// What is to be done once the batch is durable.
    pub work: Vec<Work>,
    originals: BTreeMap<RequestId, (DayKey, Counters)>,
    changed: Changed,
}

#[derive(Clone, Debug, Default)]
struct Changed {
    accounts: BTreeSet<AccountId>,
    requests: BTreeSet<RequestId>,
    sends: BTreeSet<(Mode, Phone)>,
    failures: BTreeSet<(AccountId, Phone)>,
    idempotency: BTreeSet<(AccountId, [u8; 32])>,
    reports: BTreeMap<ReportId, bool>,
    transfers: Vec<Transfer>,
    channel_references: Vec<ChannelReference>,
}

/// What a channel calls a message: whatever it says later, also when another hop has long had its turn, is about this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelReference {
    /// The channel.
    pub channel: ChannelName,
    /// Its name for the message.
    pub reference: String,
    /// The request.
    pub request: RequestId,
    /// Which hop it was.
    pub hop: u8,
    /// When the channel took the message over.
    pub at: Time,
}

/// Loading: what a store puts in.
impl Book {
    /// Puts a stored account in.
    pub fn put_account(&mut self, account: Account) {
        self.accounts.insert(account.id, account);
    }

    /// Puts a stored request in.
    pub fn put_request(&mut self, request: Request) {
        self.originals.insert(request.id, contribution(&request));
        self.requests.insert(request.id, request);
    }

    /// Puts a stored sender in.
    pub fn put_sender(&mut self, account: AccountId, username: Username, sender: Sender) {
        self.senders.insert((account, username), sender);
    }

    /// Puts the recent messages to a number in.
    pub fn put_sends(&mut self, mode: Mode, phone: Phone, window: Window) {
        self.sends.insert((mode, phone), window);
    }

    /// Puts the recent wrong codes for a number in.
    pub fn put_failures(&mut self, account: AccountId, phone: Phone, window: Window) {
        self.failures.insert((account, phone), window);
    }

    /// Puts a remembered answer in.
    pub fn put_remembered(&mut self, account: AccountId, key: [u8; 32], remembered: Remembered) {
        self.idempotency.insert((account, key), remembered);
    }

    /// Puts a stored report in.
    pub fn put_report(&mut self, report: Report) {
        self.reports.insert(report.id, report);
    }

    /// Puts in that a payment reference was booked before.
    pub fn put_reference(&mut self, reference: String) {
        self.references.insert(reference);
    }

    /// Puts in that a number has subscribed to a channel.
    pub fn put_subscriber(&mut self, channel: ChannelName, phone: Phone) {
        self.subscribers.insert((channel, phone));
    }

    /// The requests that are loaded.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.values()
    }

    /// A loaded request.
    pub fn request(&self, id: RequestId) -> Option<&Request> {
        self.requests.get(&id)
    }
}

/// Deciding: how the rules change rows, so that nothing changed is forgotten.
impl Book {
    pub(crate) fn change_account(&mut self, id: AccountId) -> Option<&mut Account> {
        let account = self.accounts.get_mut(&id)?;
        self.changed.accounts.insert(id);
        Some(account)
    }

    pub(crate) fn change_request(&mut self, id: RequestId) -> Option<&mut Request> {
        let request = self.requests.get_mut(&id)?;
        self.changed.requests.insert(id);
        Some(request)
    }

    pub(crate) fn is_new(&self, id: RequestId) -> bool {
        self.requests.contains_key(&id) && !self.originals.contains_key(&id)
    }

    pub(crate) fn add_request(&mut self, request: Request) {
        self.changed.requests.insert(request.id);
        self.requests.insert(request.id, request);
    }

    pub(crate) fn add_transfer(&mut self, transfer: Transfer) {
        self.changed.accounts.insert(transfer.account);
        self.changed.transfers.push(transfer);
    }

    pub(crate) fn change_sends(&mut self, mode: Mode, phone: Phone) -> &mut Window {
        self.changed.sends.insert((mode, phone));
        self.sends.entry((mode, phone)).or_default()
    }

    pub(crate) fn change_failures(&mut self, account: AccountId, phone: Phone) -> &mut Window {
        self.changed.failures.insert((account, phone));
        self.failures.entry((account, phone)).or_default()
    }

    pub(crate) fn add_remembered(&mut self, account: AccountId, key: [u8; 32], remembered: Remembered) {
        self.changed.idempotency.insert((account, key));
        self.idempotency.insert((account, key), remembered);
    }

    pub(crate) fn add_report(&mut self, report: Report) {
        self.changed.reports.insert(report.id, true);
        self.reports.insert(report.id, report);
    }

    pub(crate) fn add_channel_reference(&mut self, reference: ChannelReference) {
        self.changed.channel_references.push(reference);
    }

    pub(crate) fn change_report(&mut self, id: ReportId) -> Option<&mut Report> {
        let report = self.reports.get_mut(&id)?;
        self.changed.reports.entry(id).or_insert(false);
        Some(report)
    }
}

/// Saving: what a store takes out.
impl Book {
    /// Whether anything has to be saved.
    pub fn is_changed(&self) -> bool {
        let Changed {
            accounts,
            requests,
            sends,
            failures,
            idempotency,
            reports,
            transfers,
            channel_references,
        } = &self.changed;
        !(accounts.is_empty()
            && requests.is_empty()
            && sends.is_empty()
            && failures.is_empty()
            && idempotency.is_empty()
            && reports.is_empty()
            && transfers.is_empty()
            && channel_references.is_empty())
    }

    /// The accounts that changed.
    pub fn changed_accounts(&self) -> impl Iterator<Item = &Account> {
        self.changed.accounts.iter().filter_map(|id| self.accounts.get(id))
    }

    /// The requests that changed; `true` beside those that are new.
    pub fn changed_requests(&self) -> impl Iterator<Item = (&Request, bool)> {
        let requests = self.changed.requests.iter().filter_map(|id| self.requests.get(id));
        requests.map(|request| (request, !self.originals.contains_key(&request.id)))
    }

    /// The transfers that were made, in order.
    pub fn transfers(&self) -> &[Transfer] {
        &self.changed.transfers
    }

    /// What channels call messages that they took over.
    pub fn channel_references(&self) -> &[ChannelReference] {
        &self.changed.channel_references
    }

    /// The windows of numbers that were sent to.
    pub fn changed_sends(&self) -> impl Iterator<Item = ((Mode, Phone), &Window)> {
        self.changed.sends.iter().filter_map(|key| Some((*key, self.sends.get(key)?)))
    }

    /// The windows of numbers whose codes were guessed at.
    pub fn changed_failures(&self) -> impl Iterator<Item = ((AccountId, Phone), &Window)> {
        self.changed.failures.iter().filter_map(|key| Some((*key, self.failures.get(key)?)))
    }

    /// The answers to remember.
    pub fn new_remembered(&self) -> impl Iterator<Item = ((AccountId, [u8; 32]), &Remembered)> {
        self.changed.idempotency.iter().filter_map(|key| Some((*key, self.idempotency.get(key)?)))
    }

    /// The reports that changed; `true` beside those that are new.
    pub fn changed_reports(&self) -> impl Iterator<Item = (&Report, bool)> {
        self.changed.reports.iter().filter_map(|(id, new)| Some((self.reports.get(id)?, *new)))
    }

    /// Closes the book of a saved batch: its news, and every request as it now stands in the database.
    pub fn close(mut self) -> (News, impl Iterator<Item = Request>) {
        let due_at = |(request, _): (&Request, bool)| request.message.as_ref()?.due_at();
        let news = News {
            changed: self.is_changed(),
            work: std::mem::take(&mut self.work),
            requests: self.changed_requests().map(|(request, _)| (request.account, request.id)).collect(),
            next_due: self.changed_requests().filter_map(due_at).min(),
            next_report: self.changed_reports().map(|(report, _)| report.due_at).min(),
        };
        let saved = |mut request: Request| {
            request.mark_saved();
            request
        };
        (news, self.requests.into_values().map(saved))
    }

    /// What the batch adds to the statistics.
    pub fn statistics(&self) -> BTreeMap<DayKey, Counters> {
        let mut days: BTreeMap<DayKey, Counters> = BTreeMap::new();
        for (request, _) in self.changed_requests() {
            let (key, now) = contribution(request);
            match self.originals.get(&request.id) {
                Some((before_key, before)) if *before_key == key => {
                    *days.entry(key).or_default() += now - *before
                }
                Some((before_key, before)) => {
                    *days.entry(before_key.clone()).or_default() += Counters::default() - *before;
                    *days.entry(key).or_default() += now;
                }
                None => *days.entry(key).or_default() += now,
            }
        }
        days.retain(|_, counters| !counters.is_zero());
        days
    }
}
