//! Commands beside a busy server: they get their turn, and neither side disturbs the other.

use crate::crowd::Crowd;
use crate::gateway::Home;
use crate::seeded::seed;
use std::time::{Duration, Instant};

#[test]
fn commands_work_on_the_database_of_a_busy_server() {
    let home = Home::new();
    let mut crowd = Crowd::new(seed());
    let gateway = Crowd::start(&home, true);
    let mut slowest = (Duration::ZERO, String::new());
    let ended = crowd.work(gateway, Duration::from_millis(100), |gateway| {
        for round in 0..5 {
            for line in [
                &format!("credit dev 2.5 --reference payment-{round}"),
                &format!("credit dev 2.5 --reference payment-{round}"),
                "credit dev -1 --adjust",
                "credit dev 1 --adjust",
                &format!("account create customer-{round} --own-number +391234567"),
                "sender add dev dev_news --verified",
                "token create dev --name spare",
                &format!("token revoke {}", round + 2),
                "account list",
                "audit",
            ] {
                let begun = Instant::now();
                let ended = home.run(line.split(' '));
                assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
                slowest = slowest.clone().max((begun.elapsed(), line.to_owned()));
            }
        }
        gateway.stop()
    });
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("a batch failed"), "{}", ended.stderr);
    home.audit();
    crowd.deposits += 5 * 2_500_000;
    let gateway = Crowd::start(&home, false);
    crowd.check(&home, &gateway);
    assert_eq!(crowd.compare(&home), 0);
    println!("beside: {} answers while 50 commands ran; the slowest was {slowest:?}", crowd.answers());
}
