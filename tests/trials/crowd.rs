//! Several clients at work, and what they know together.

use crate::client::Client;
use crate::gateway::{Gateway, Home, TOKEN};
use crate::known::PRICE;
use crate::ledger::{Ledger, attempts};
use std::collections::HashSet;
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

/// How many clients call at once.
const CLIENTS: usize = 8;
/// What the account is given at the beginning, in micro-credits.
const DEPOSIT: i64 = 1_000_000_000_000;

/// All clients of a gateway.
pub(crate) struct Crowd {
    clients: Vec<Client>,
    /// What the account has been given, in micro-credits.
    pub(crate) deposits: i64,
}

impl Crowd {
    pub(crate) fn new(seed: u64) -> Crowd {
        let clients = (0..CLIENTS).map(|number| Client::new(number, seed)).collect();
        Crowd { clients, deposits: DEPOSIT }
    }

    /// Starts the gateway of this home: with its money the first time, with what it has left from then on.
    pub(crate) fn start(home: &Home, first: bool) -> Gateway {
        Gateway::start(home.dev(if first { "1000000" } else { "0" }))
    }

    /// Lets every client call for `time`, then does `end` to the gateway, and waits until each has noticed.
    pub(crate) fn work<R>(&mut self, gateway: Gateway, time: Duration, end: impl FnOnce(Gateway) -> R) -> R {
        let address = gateway.address().to_owned();
        let address = address.as_str();
        scope(|scope| {
            let clients: Vec<_> = self
                .clients
                .iter_mut()
                .map(|client| scope.spawn(move || client.work(address, TOKEN)))
                .collect();
            std::thread::sleep(time);
            let result = end(gateway);
            clients.into_iter().for_each(join);
            result
        })
    }

    /// After a crash: asks for everything that was acknowledged.
    pub(crate) fn check(&mut self, home: &Home, gateway: &Gateway) {
        let (address, attempts) = (gateway.address(), attempts(&home.data()));
        scope(|scope| {
            let check = |client| scope.spawn(|| Client::check(client, address, TOKEN, &attempts));
            let clients: Vec<_> = self.clients.iter_mut().map(check).collect();
            clients.into_iter().for_each(join);
        });
    }

    /// The books hold what was acknowledged, and beyond it no more than what was asked without an answer. Returns how
    /// many requests are there that nobody was told of.
    pub(crate) fn compare(&self, home: &Home) -> u64 {
        let ledger = Ledger::read(&home.data());
        assert_eq!(ledger.deposits, self.deposits);
        assert_eq!(ledger.balance, self.deposits - ledger.charges + ledger.refunds);

        let known: HashSet<&String> = self.known().map(|(id, _)| id).collect();
        assert_eq!(known.len(), self.known().count(), "two requests have one id");
        let lost: Vec<_> = known.iter().filter(|id| !ledger.requests.contains(**id)).collect();
        assert!(lost.is_empty(), "{} acknowledged requests are gone: {lost:?}", lost.len());
        let acknowledged: i64 = self.known().map(|(_, cost)| cost).sum();
        let untold = (ledger.requests.len() - known.len()) as u64;
        let unknown: u64 = self.clients.iter().map(|client| client.unknown).sum();
        assert!(untold <= unknown, "{untold} requests that nobody made; {unknown} calls were cut off");
        let most = acknowledged + PRICE * i64::try_from(unknown).unwrap();
        assert!(
            (acknowledged..=most).contains(&ledger.charges),
            "{} charged, {acknowledged} to {most} called for",
            ledger.charges
        );
        untold
    }

    /// How many answers came in all.
    pub(crate) fn answers(&self) -> u64 {
        self.clients.iter().map(|client| client.answers).sum()
    }

    /// Every acknowledged request and what it cost.
    fn known(&self) -> impl Iterator<Item = (&String, i64)> {
        self.clients.iter().flat_map(|client| client.known.iter().map(|known| (&known.id, known.cost)))
    }
}

fn join(client: ScopedJoinHandle<'_, ()>) {
    if let Err(panic) = client.join() {
        std::panic::resume_unwind(panic);
    }
}
