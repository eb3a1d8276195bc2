//! A gateway that is asked to stop finishes what it has begun.

use crate::crowd::Crowd;
use crate::gateway::{Home, STOP_PATIENCE};
use crate::seeded::seed;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn sigterm_under_load_loses_no_answer() {
    let home = Home::new();
    let mut crowd = Crowd::new(seed());
    let gateway = Crowd::start(&home, true);
    let (ended, took) = crowd.work(gateway, Duration::from_millis(400), |gateway| {
        let begun = Instant::now();
        (gateway.stop(), begun.elapsed())
    });
    assert_eq!(ended.code, Some(0), "{ended:?}");
    home.audit();
    // A call that is begun is also answered: nothing is stored that nobody was told of.
    let gateway = Crowd::start(&home, false);
    crowd.check(&home, &gateway);
    let untold = crowd.compare(&home);
    assert_eq!(untold, 0, "{untold} calls were carried out and not answered");
    println!("drain: {} acknowledgements, all kept; stopped within {took:?}", crowd.answers());
}

/// Connections that would stay open for good do not hold a stop up: one that waits between two calls, one that follows
/// the sandbox, one that never finishes the head of its request, one that never sends the body that it announced.
#[test]
fn idle_and_stuck_connections_do_not_hold_a_stop_up() {
    let home = Home::new();
    let gateway = Crowd::start(&home, true);
    let connect = |request: &str| {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut idle = connect("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut live = connect("GET /sandbox/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for stream in [&mut idle, &mut live] {
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    }
    let head = connect("POST /sendVerificationMessage HTTP/1.1\r\nHost: loc");
    let body =
        connect("POST /sendVerificationMessage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx");
    let begun = Instant::now();
    let ended = gateway.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    println!("drain: stopped within {:?} over idle and stuck connections", begun.elapsed());
    assert!(begun.elapsed() < STOP_PATIENCE);
    drop((idle, live, head, body));
}

/// Who asks twice does not want to wait.
#[test]
fn a_second_signal_ends_it_at_once() {
    let home = Home::new();
    let gateway = Crowd::start(&home, true);
    let mut stuck = TcpStream::connect(gateway.address()).unwrap();
    stuck.write_all(b"POST /sendVerificationMessage HTTP/1.1\r\nHost: loc").unwrap();
    gateway.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    gateway.signal("INT");
    let ended = gateway.finish(STOP_PATIENCE);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("stopped at once"), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    home.audit();
}
