//! One node loses the database, and the others go on.

use crate::books::{Books, CREDITS};
use crate::house::House;
use crate::seeded::seed;
use crate::server::{Postgres, url};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a call may take at a node that cannot reach its database: a round trip that is given up, and one attempt to
/// connect.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// A node that cannot reach its database says so within this time.
const UNREADY_WITHIN: Duration = Duration::from_secs(10);
/// Another node answers within this time, also if the first was cut off in the middle of a batch, with its locks.
const WAIT_MAX: Duration = Duration::from_secs(6);
/// Clients that all wait for the node that was cut off are served again within this time.
const GAP_MAX: Duration = Duration::from_secs(15);

/// A wire that can be cut: then nothing gets through and nobody is told, as when a cable is pulled.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Wire {
    fn to(server: u16) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let carried = cut.clone();
        // All of it ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let ways = [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ];
                for (from, to) in ways {
                    let cut = carried.clone();
                    std::thread::spawn(move || carry(from, to, &cut));
                }
            }
        });
        Wire { port, cut }
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut bytes = [0; 16 * 1024];
    loop {
        let count = match from.read(&mut bytes) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
            Ok(count) => count,
        };
        while cut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // An end does not get through a wire that is cut either.
    while cut.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_node_that_loses_the_database_is_taken_out_and_comes_back() {
    let database = Postgres::new();
    let wire = Wire::to(database.port);
    let urls = [url(&[wire.port]), database.url(), database.url()];
    let mut house = House::new(&urls, CREDITS, 0);
    // Commands of the operator go the straight way.
    house.reach(&database.url());
    let mut books = Books::new(&house, seed());
    let mut extra = Vec::new();
    let (unready, others, slowest, back) = books.work(|_| {
        std::thread::sleep(Duration::from_millis(500));
        wire.cut();
        let since = Instant::now();
        let mut others = Duration::ZERO;
        for number in 0.. {
            // The others may have to wait for the locks of the batch that was cut off, and then they are served.
            let sent = json!({ "phone_number": format!("+39340{number:07}"), "code": "4711" });
            let asked = Instant::now();
            extra.push(house.call(1, "sendVerificationMessage", &sent).result()["request_id"].clone());
            others = others.max(asked.elapsed());
            if house.ready(0) == 503 {
                break;
            }
            assert!(since.elapsed() < UNREADY_WITHIN, "still ready after {:?}", since.elapsed());
            std::thread::sleep(Duration::from_millis(50));
        }
        let unready = since.elapsed();
        house.balancer.wait_for(&[false, true, true]);
        let mut slowest = Duration::ZERO;
        for _ in 0..2 {
            let since = Instant::now();
            let refused = house.call(0, "checkSendAbility", &json!({ "phone_number": "+393401234567" }));
            assert!(refused.status >= 500, "{refused:?}");
            slowest = slowest.max(since.elapsed());
        }
        assert!(slowest < ANSWER_MAX, "an answer took {slowest:?}");
        wire.heal();
        let back = house.wait_ready(0, 200, Duration::from_secs(20));
        house.balancer.wait_for_all();
        let since = Instant::now();
        while house.call(0, "getBalance", &json!({})).error().is_some() {
            assert!(since.elapsed() < Duration::from_secs(20), "the node does not serve again");
        }
        std::thread::sleep(Duration::from_millis(500));
        (unready, others, slowest, back)
    });
    books.others += extra.len() as u64;
    println!(
        "cut: unready after {unready:?}, ready {back:?} after healing, slowest refusal of the cut node {slowest:?}; \
         slowest answer of another node {others:?}; \
         {} answers, {} failures, longest gap behind the balancer {:?}",
        books.answers(),
        books.failures().len(),
        books.longest_gap
    );
    assert!(books.longest_gap <= GAP_MAX, "nobody was served for {:?}", books.longest_gap);
    assert!(others <= WAIT_MAX, "another node took {others:?}");
    books.compare(&house, &database);
    house.run("audit");
}
