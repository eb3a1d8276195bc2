//! Clients at work, and their books beside the database's.

use crate::house::{FORWARDED, House};
use crate::known::PRICE;
use crate::pulse::Pulse;
use crate::server::Postgres;
use crate::teller::Teller;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Duration;

/// How many clients call at once.
const TELLERS: usize = 8;
/// What the account is given at the beginning.
pub(crate) const CREDITS: &str = "1000000";
/// After this time, what is never delivered has expired, and nothing else is due, was it left to whomever.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// What happens to a message once at most.
const ONCE: [&str; 7] = ["charged", "sent", "delivered", "read", "expired", "refunded", "revoked"];

/// The books of all clients.
pub(crate) struct Books {
    pub(crate) tellers: Vec<Teller>,
    pub(crate) longest_gap: Duration,
    /// How many messages others than these clients have sent.
    pub(crate) others: u64,
}

impl Books {
    pub(crate) fn new(house: &House, seed: u64) -> Books {
        let teller = |number| Teller::new(number, seed, house.balancer.address(), house.token.clone());
        Books { tellers: (0..TELLERS).map(teller).collect(), longest_gap: Duration::ZERO, others: 0 }
    }

    /// Lets every client call while `trouble` is made.
    pub(crate) fn work<R>(&mut self, trouble: impl FnOnce(&Pulse) -> R) -> R {
        let (stop, pulse) = (AtomicBool::new(false), Pulse::new());
        scope(|scope| {
            for teller in &mut self.tellers {
                let (stop, pulse) = (&stop, &pulse);
                scope.spawn(move || teller.work(stop, pulse));
            }
            let _stop = Stop(&stop);
            let result = trouble(&pulse);
            self.longest_gap = self.longest_gap.max(pulse.longest());
            result
        })
    }

    pub(crate) fn answers(&self) -> u64 {
        self.tellers.iter().map(|teller| teller.answers).sum()
    }

    pub(crate) fn failures(&self) -> Vec<&String> {
        self.tellers.iter().flat_map(|teller| &teller.failures).collect()
    }

    /// How many acknowledged requests are not in the database.
    pub(crate) fn lost(&self, database: &Postgres) -> usize {
        let rows = database.query("SELECT id FROM request");
        let stored: std::collections::HashSet<_> = rows.into_iter().map(|mut row| row.remove(0)).collect();
        self.tellers
            .iter()
            .flat_map(|teller| &teller.known)
            .filter(|known| !stored.contains(&known.id))
            .count()
    }

    /// Everything that was acknowledged is there, seen from every node; nothing happened twice; the money is right.
    /// Returns how many requests are there that nobody was told of.
    pub(crate) fn compare(&mut self, house: &House, database: &Postgres) -> u64 {
        self.tellers.iter_mut().for_each(Teller::settle);
        let lost = self.lost(database);
        assert_eq!(lost, 0, "{lost} acknowledged requests are gone");
        let open = "SELECT count(*) FROM request WHERE ttl_s = 30 AND delivery <> 'expired'";
        database.wait_for(open, "0", SETTLED_WITHIN);
        // What the sandbox still has in store for messages happens before the nodes are compared, and not in between.
        let ahead = "SELECT count(*) FROM request
                     WHERE due_at < extract(epoch FROM now() + interval '2 minutes') * 1000000";
        database.wait_for(ahead, "0", SETTLED_WITHIN);

        let mut attempts = HashMap::new();
        for row in database.query("SELECT id, attempts, timeline FROM request WHERE sent_at IS NOT NULL") {
            attempts.insert(row[0].clone(), row[1].parse::<u8>().unwrap());
            for name in ONCE {
                let times = row[2].lines().filter(|line| line.split(' ').nth(1) == Some(name)).count();
                assert!(times <= 1, "{name} {times} times: {row:?}");
            }
        }
        scope(|scope| {
            for teller in &mut self.tellers {
                let attempts = &attempts;
                scope.spawn(move || check(teller, house, attempts));
            }
        });
        self.compare_money(database)
    }

    fn compare_money(&self, database: &Postgres) -> u64 {
        let sum = |kind: &str| {
            database.number(&format!(
                "SELECT coalesce(sum(amount), 0)::bigint FROM transfer WHERE account_id >= 100 AND kind = '{kind}'"
            ))
        };
        let (deposits, charges, refunds) = (sum("deposit"), sum("charge"), sum("refund"));
        let balance = database.number("SELECT sum(balance)::bigint FROM account WHERE id >= 100");
        assert_eq!(balance, deposits - charges + refunds);
        assert_eq!(deposits, CREDITS.parse::<i64>().unwrap() * 1_000_000);
        let refunded =
            database.number("SELECT count(*) FROM request WHERE delivery = 'expired' AND cost > 0");
        assert_eq!(refunds, refunded * PRICE, "each message that expired is refunded once");

        let known = || self.tellers.iter().flat_map(|teller| &teller.known);
        let acknowledged: i64 = known().map(|known| known.cost).sum();
        let unknown: u64 = self.tellers.iter().map(|teller| teller.unknown).sum();
        let untold =
            database.number("SELECT count(*) FROM request") as u64 - known().count() as u64 - self.others;
        assert!(untold <= unknown, "{untold} requests that nobody made; {unknown} calls were not answered");
        assert_eq!(
            charges,
            acknowledged + (untold + self.others) as i64 * PRICE,
            "{untold} requests were not told of"
        );
        untold
    }
}

/// Asks every node for everything that one client was told.
fn check(teller: &mut Teller, house: &House, attempts: &HashMap<String, u8>) {
    let mut nodes: Vec<_> = (0..house.nodes.len()).map(|at| house.connect(at)).collect();
    for known in &mut teller.known {
        let mut told = Vec::new();
        for node in &mut nodes {
            let params = json!({ "request_id": known.id });
            let status = node.call_with("checkVerificationStatus", &params, FORWARDED).unwrap();
            known.check(&status, attempts.get(&known.id).copied());
            told.push(status.result()["delivery_status"].clone());
        }
        assert!(told.iter().all(|status| *status == told[0]), "nodes differ: {told:?}");
        if let Some((key, params, answer)) = &known.keyed {
            let headers = format!("{FORWARDED}Idempotency-Key: {key}\r\n");
            let again = nodes[0].call_with("sendVerificationMessage", params, &headers).unwrap();
            assert_eq!(again.text, *answer, "the same key has two answers");
        }
    }
}

/// Lets the clients stop also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
