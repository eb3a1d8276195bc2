//! An SMSC for tests: it says what a test tells it to, over a pipe in memory.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use chappe_smpp::{
    Address, Client, Config, Driver, Message, Receipts, State, SubmitError, Submitted, session,
};
use futures_util::{SinkExt, StreamExt};
use rusmpp::pdus::{BindTransceiverResp, DeliverSm, SubmitSm, SubmitSmResp};
use rusmpp::tlvs::MessageDeliveryRequestTlvValue;
use rusmpp::tokio_codec::CommandCodec;
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::EsmClass;
use rusmpp::{Command, CommandId, CommandStatus, Pdu};
use std::io;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::codec::Framed;

/// What a pipe holds before a writer has to wait.
pub const PIPE: usize = 64 * 1024;

/// esm_class of a delivery receipt.
pub const RECEIPT: u8 = 4;

/// A session, and the SMSC that it dials.
pub struct Bench {
    pub client: Client,
    pub receipts: Receipts,
    pub state: watch::Receiver<State>,
    pub driver: JoinHandle<()>,
    dialled: mpsc::UnboundedReceiver<DuplexStream>,
}

pub fn config() -> Config {
    Config::new("esme", "secret")
}

pub fn bench(config: Config) -> Bench {
    bench_with(config, PIPE)
}

/// With pipes that hold only so much.
pub fn bench_with(config: Config, pipe: usize) -> Bench {
    let (dial, dialled) = mpsc::unbounded_channel();
    let connect = move || {
        let (ours, theirs) = duplex(pipe);
        let there = dial.send(theirs).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused));
        std::future::ready(there.map(|()| ours))
    };
    // No jitter: the pauses are then the longest.
    let (client, receipts, driver) = session(config.check().unwrap(), connect, || 0);
    let driver: Driver<_> = driver;
    Bench { state: client.state(), client, receipts, driver: tokio::spawn(driver.run()), dialled }
}

impl Bench {
    /// The next connection, on which nothing has happened.
    pub async fn accept(&mut self) -> Smsc {
        Smsc { pipe: Framed::new(self.dialled.recv().await.unwrap(), CommandCodec::new()) }
    }

    /// The next connection, bound.
    pub async fn bound(&mut self) -> Smsc {
        let mut smsc = self.accept().await;
        smsc.bind(CommandStatus::EsmeRok).await;
        self.state.wait_for(|state| *state == State::Bound).await.unwrap();
        smsc
    }

    /// No further connection is made from here on.
    pub fn refuse_connections(&mut self) {
        self.dialled.close();
    }

    pub async fn down(&mut self) -> State {
        self.state.wait_for(|state| matches!(state, State::Down { .. })).await.unwrap().clone()
    }

    /// Submits in the background.
    pub fn submit(&self, text: &str) -> JoinHandle<Result<Submitted, SubmitError>> {
        let (client, message) = (self.client.clone(), message(text));
        tokio::spawn(async move { client.submit(&message).await })
    }
}

pub fn message(text: &str) -> Message {
    Message::new(Address::international("+393331234567").unwrap(), text).unwrap()
}

/// One connection, seen from the SMSC.
pub struct Smsc {
    pub pipe: Framed<DuplexStream, CommandCodec>,
}

impl Smsc {
    /// The next PDU; `None` once the session has closed the connection.
    pub async fn next(&mut self) -> Option<Command> {
        self.pipe.next().await.map(|command| command.unwrap())
    }

    /// The next PDU, which must be this.
    pub async fn expect(&mut self, id: CommandId) -> Command {
        let command = self.next().await.unwrap_or_else(|| panic!("closed instead of {id:?}"));
        assert_eq!(command.id(), id, "{command:?}");
        command
    }

    pub async fn submit(&mut self) -> (u32, SubmitSm) {
        let command = self.expect(CommandId::SubmitSm).await;
        match command.pdu() {
            Some(Pdu::SubmitSm(submit)) => (command.sequence_number(), submit.clone()),
            other => panic!("{other:?}"),
        }
    }

    pub async fn send(&mut self, status: CommandStatus, sequence: u32, pdu: impl Into<Pdu>) {
        self.pipe.send(Command::new(status, sequence, pdu)).await.unwrap();
    }

    pub async fn bind(&mut self, status: CommandStatus) {
        let bind = self.expect(CommandId::BindTransceiver).await;
        self.send(status, bind.sequence_number(), BindTransceiverResp::default()).await;
    }

    pub async fn accept(&mut self, sequence: u32, id: &str) {
        let response = SubmitSmResp::new(COctetString::from_str(id).unwrap(), Vec::new());
        self.send(CommandStatus::EsmeRok, sequence, response).await;
    }

    pub async fn refuse(&mut self, sequence: u32, status: CommandStatus) {
        self.send(status, sequence, SubmitSmResp::default()).await;
    }

    /// A deliver_sm with this esm_class and text.
    pub async fn deliver(&mut self, sequence: u32, esm_class: u8, text: &str) {
        self.deliver_with(sequence, esm_class, text, Vec::new()).await;
    }

    pub async fn deliver_with(
        &mut self,
        sequence: u32,
        esm_class: u8,
        text: &str,
        parameters: Vec<MessageDeliveryRequestTlvValue>,
    ) {
        let deliver = DeliverSm::builder()
            .esm_class(EsmClass::from(esm_class))
            .short_message(OctetString::from_str(text).unwrap())
            .tlvs(parameters)
            .build();
        self.send(CommandStatus::EsmeRok, sequence, deliver).await;
    }

    pub async fn raw(&mut self, octets: &[u8]) {
        self.pipe.get_mut().write_all(octets).await.unwrap();
    }
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
