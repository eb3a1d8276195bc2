//! Sends a text to a phone, and says what became of it.
//!
//! ```text
//! SMPP_ADDRESS=smsc.example:2775 SMPP_SYSTEM_ID=… SMPP_PASSWORD=… SMPP_PHONE=+391234567890 \
//!     cargo run --example submit -- 'Your code is 12345'
//! ```
//!
//! `SMPP_SENDER` is the name that it comes from, if the operator lets you choose one.
#![allow(clippy::print_stdout)]

use chappe_smpp::{Address, Config, Message, Outcome, State, plan, session};
use std::collections::HashSet;
use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str| env::var(name).map_err(|_| format!("set {name}"));
    let address = setting("SMPP_ADDRESS")?;
    let config = Config::new(setting("SMPP_SYSTEM_ID")?, setting("SMPP_PASSWORD")?);
    let text = env::args().nth(1).ok_or("say what to send")?;
    println!("{:?}", plan(&text));

    let mut message = Message::new(Address::international(&setting("SMPP_PHONE")?)?, text)?;
    if let Ok(sender) = env::var("SMPP_SENDER") {
        message = message.with_source(Address::alphanumeric(&sender)?);
    }

    let connect = move || TcpStream::connect(address.clone());
    // The standard library has no better source of chance, and pauses need no better one.
    let random = || RandomState::new().build_hasher().finish();
    let (client, mut receipts, driver) = session(config.check()?, connect, random);
    let driver = tokio::spawn(driver.run());

    let mut state = client.state();
    let settled = state.wait_for(|state| *state != State::Connecting).await?.clone();
    if let State::Down { reason, .. } = settled {
        return Err(reason.into());
    }
    let mut open: HashSet<String> = client.submit(&message).await?.ids.into_iter().collect();
    println!("taken as {open:?}; waiting for receipts");
    while !open.is_empty() {
        let Some(delivery) = timeout(Duration::from_secs(120), receipts.next()).await? else { break };
        println!("{:?}", delivery.receipt);
        if delivery.receipt.outcome != Outcome::Pending {
            open.remove(&delivery.receipt.id);
        }
        delivery.acknowledge();
    }
    client.shut_down();
    driver.await?;
    Ok(())
}
