//! An SMSC that takes the bind and then says anything at all.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use chappe_smpp::{Address, Config, Message, Outcome, session};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::timeout;

/// A bind_transceiver_resp that says yes.
const BOUND: [u8; 17] = [0, 0, 0, 17, 0x80, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// Puts a PDU around a body.
#[allow(dead_code, reason = "not every user speaks well-formed PDUs")]
pub fn pdu(id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let header = [16 + body.len() as u32, id, status, sequence];
    let header = header.iter().flat_map(|field| field.to_be_bytes());
    header.chain(body.iter().copied()).collect()
}

/// Runs a whole session against an SMSC that says these octets, in pieces of so many. Whatever they are, no submit stays
/// without an answer, and the session ends when it is told to. Gives how many receipts there were.
pub fn survive(octets: &[u8], piece: usize) -> usize {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        // An hour of the paused clock: nothing in a session takes as long, so what does is stuck.
        let life = timeout(Duration::from_secs(3600), life(octets.to_vec(), piece.max(1)));
        life.await.unwrap_or_else(|_| panic!("the session is stuck"))
    })
}

async fn life(octets: Vec<u8>, piece: usize) -> usize {
    let (ours, theirs) = duplex(1024);
    let mut only = Some(ours);
    let connect = move || std::future::ready(only.take().ok_or_else(|| io::Error::other("once is enough")));
    let mut config = Config::new("esme", "secret");
    config.receipts = 3;
    let (client, mut receipts, driver) =
        session::<_, _, DuplexStream>(config.check().unwrap(), connect, || 0);
    let driver = tokio::spawn(driver.run());

    let (mut read, mut write) = split(theirs);
    let reading = tokio::spawn(async move { while matches!(read.read(&mut [0; 512]).await, Ok(1..)) {} });
    let talking = tokio::spawn(async move {
        // All of this may fail: the session may have hung up.
        let _ = write.write_all(&BOUND).await;
        for piece in octets.chunks(piece) {
            let _ = write.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let _ = write.shutdown().await;
    });
    let taking = tokio::spawn(async move {
        let mut taken = 0;
        while let Some(delivery) = receipts.next().await {
            taken += 1;
            assert!(!delivery.receipt.id.is_empty());
            // Some are acknowledged, some are not.
            if delivery.receipt.outcome == Outcome::Delivered {
                delivery.acknowledge();
            }
        }
        taken
    });
    let message = |text: &str| Message::new(Address::international("+393331234567").unwrap(), text).unwrap();
    let texts = ["a".to_owned(), "я".repeat(100), "b".repeat(300)];
    let submits = texts.map(|text| {
        let (client, message) = (client.clone(), message(&text));
        tokio::spawn(async move { client.submit(&message).await })
    });
    for submit in submits {
        // Any answer will do, as long as there is one.
        let _ = submit.await.unwrap();
    }
    talking.await.unwrap();
    client.shut_down();
    driver.await.unwrap();
    reading.await.unwrap();
    taking.await.unwrap()
}
