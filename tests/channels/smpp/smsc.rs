//! An SMSC on loopback: it takes submits as a test wants it, sends receipts, and can be lost and come back.

use futures_util::{SinkExt, StreamExt};
use rusmpp::pdus::{BindTransceiverResp, DeliverSm, SubmitSm, SubmitSmResp};
use rusmpp::tokio_codec::CommandCodec;
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::EsmClass;
use rusmpp::{Command, CommandId, CommandStatus, Pdu};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::codec::Framed;

/// esm_class of a delivery receipt.
const RECEIPT: u8 = 4;
/// When a receipt that was refused for now is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of a submit.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// It is taken.
    Take,
    /// It is taken, and receipts of these states follow, spaced by nothing.
    TakeAndReport(Vec<&'static str>),
    /// A receipt of this state comes first, and then the answer.
    ReportAndTake(&'static str),
    /// It is refused.
    Refuse(CommandStatus),
    /// The connection is cut instead of an answer.
    HangUp,
}

/// A submit as it came.
#[derive(Clone, Debug)]
pub(crate) struct Submit {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) from: String,
    pub(crate) text: String,
    pub(crate) validity: String,
}

/// Something for the connection that is open to do.
enum Order {
    Report(String, &'static str),
    Raw(Vec<u8>),
}

pub(crate) struct Smsc {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    act: Box<dyn Fn(&Submit) -> Act + Send + Sync>,
    submits: Mutex<Vec<Submit>>,
    orders: Mutex<Option<mpsc::UnboundedSender<Order>>>,
    /// What the session answered to receipts.
    taken: mpsc::UnboundedSender<CommandStatus>,
    verdicts: tokio::sync::Mutex<mpsc::UnboundedReceiver<CommandStatus>>,
    binds: Mutex<usize>,
    password: &'static str,
}

impl Smsc {
    pub(crate) async fn start(act: impl Fn(&Submit) -> Act + Send + Sync + 'static) -> Smsc {
        let (taken, verdicts) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            act: Box::new(act),
            submits: Mutex::default(),
            orders: Mutex::default(),
            taken,
            verdicts: tokio::sync::Mutex::new(verdicts),
            binds: Mutex::default(),
            password: "secret",
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Smsc { address, shared, accepting }
    }

    /// Goes away: the port refuses, and what is open is cut.
    pub(crate) async fn stop(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.shared.orders.lock().unwrap().take();
    }

    /// Comes back at the same address.
    pub(crate) async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.accepting = tokio::spawn(accept(listener, self.shared.clone()));
    }

    pub(crate) fn submits(&self) -> Vec<Submit> {
        self.shared.submits.lock().unwrap().clone()
    }

    pub(crate) fn binds(&self) -> usize {
        *self.shared.binds.lock().unwrap()
    }

    /// Sends a receipt, and says what the session answers.
    pub(crate) async fn report(&self, id: &str, stat: &'static str) -> CommandStatus {
        self.order(Order::Report(id.to_owned(), stat));
        self.verdict().await
    }

    /// What the session answers to the next receipt.
    pub(crate) async fn verdict(&self) -> CommandStatus {
        let mut verdicts = self.shared.verdicts.lock().await;
        timeout(PATIENCE, verdicts.recv()).await.expect("an answer to a receipt").unwrap()
    }

    /// Sends octets as they are.
    pub(crate) fn raw(&self, octets: Vec<u8>) {
        self.order(Order::Raw(octets));
    }

    fn order(&self, order: Order) {
        let orders = self.shared.orders.lock().unwrap();
        let sent = orders.as_ref().expect("a session that is bound").send(order);
        assert!(sent.is_ok(), "an open connection");
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // One session at a time, as one server makes; what it opens anew takes the place.
    let mut serving: Option<AbortOnDrop> = None;
    while let Ok((stream, _)) = listener.accept().await {
        drop(serving.take());
        serving = Some(AbortOnDrop(tokio::spawn(serve(stream, shared.clone()))));
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut pipe = Framed::new(stream, CommandCodec::new());
    let (orders, mut to_do) = mpsc::unbounded_channel();
    let mut sequence = 0;
    // Receipts without an answer: what is refused for now is sent again, as an SMSC does.
    let mut open: HashMap<u32, (String, &'static str)> = HashMap::new();
    loop {
        let command = tokio::select! {
            command = pipe.next() => match command {
                Some(Ok(command)) => command,
                _ => return,
            },
            Some(order) = to_do.recv() => {
                sequence += 1;
                match order {
                    Order::Report(id, stat) => {
                        report(&mut pipe, sequence, &id, stat).await;
                        open.insert(sequence, (id, stat));
                    }
                    Order::Raw(octets) => {
                        use tokio::io::AsyncWriteExt;
                        let _ = pipe.get_mut().write_all(&octets).await;
                    }
                }
                continue;
            }
        };
        let number = command.sequence_number();
        match command.pdu() {
            Some(Pdu::BindTransceiver(bind)) => {
                let good = bind.password.to_string() == shared.password;
                let status = if good { CommandStatus::EsmeRok } else { CommandStatus::EsmeRinvpaswd };
                send(&mut pipe, status, number, BindTransceiverResp::default()).await;
                if good {
                    *shared.binds.lock().unwrap() += 1;
                    *shared.orders.lock().unwrap() = Some(orders.clone());
                }
            }
            Some(Pdu::SubmitSm(submit)) => {
                let submit = {
                    let mut submits = shared.submits.lock().unwrap();
                    let id = format!("m{}", submits.len() + 1);
                    submits.push(read(id, submit));
                    submits.last().unwrap().clone()
                };
                let act = (shared.act)(&submit);
                let taken = SubmitSmResp::new(COctetString::from_str(&submit.id).unwrap(), Vec::new());
                match act {
                    Act::Take => send(&mut pipe, CommandStatus::EsmeRok, number, taken).await,
                    Act::TakeAndReport(states) => {
                        send(&mut pipe, CommandStatus::EsmeRok, number, taken).await;
                        for stat in states {
                            sequence += 1;
                            report(&mut pipe, sequence, &submit.id, stat).await;
                            open.insert(sequence, (submit.id.clone(), stat));
                        }
                    }
                    Act::ReportAndTake(stat) => {
                        sequence += 1;
                        report(&mut pipe, sequence, &submit.id, stat).await;
                        open.insert(sequence, (submit.id.clone(), stat));
                        send(&mut pipe, CommandStatus::EsmeRok, number, taken).await;
                    }
                    Act::Refuse(status) => send(&mut pipe, status, number, SubmitSmResp::default()).await,
                    Act::HangUp => return,
                }
            }
            _ if command.id() == CommandId::DeliverSmResp => match (command.status(), open.remove(&number)) {
                (status, Some((id, stat))) if status != CommandStatus::EsmeRok => {
                    let again = orders.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(AGAIN_AFTER).await;
                        let _ = again.send(Order::Report(id, stat));
                    });
                }
                (status, _) => drop(shared.taken.send(status)),
            },
            _ if command.id() == CommandId::EnquireLink => {
                send(&mut pipe, CommandStatus::EsmeRok, number, Pdu::EnquireLinkResp).await;
            }
            _ if command.id() == CommandId::Unbind => {
                send(&mut pipe, CommandStatus::EsmeRok, number, Pdu::UnbindResp).await;
                return;
            }
            _ => {}
        }
    }
}

fn read(id: String, submit: &SubmitSm) -> Submit {
    let octets: &[u8] = submit.short_message().as_ref();
    let text = match u8::from(submit.data_coding) {
        8 => {
            let units = octets.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).map(|char| char.unwrap()).collect()
        }
        // Of the GSM alphabet, what the texts of the tests need: the rest of it stands where it does in ASCII.
        _ => octets
            .iter()
            .map(|octet| match octet {
                0 => '@',
                4 => 'è',
                letter => char::from(*letter),
            })
            .collect(),
    };
    Submit {
        id,
        to: submit.destination_addr.to_string(),
        from: submit.source_addr.to_string(),
        text,
        validity: submit.validity_period.to_string(),
    }
}

async fn send(
    pipe: &mut Framed<TcpStream, CommandCodec>,
    status: CommandStatus,
    number: u32,
    pdu: impl Into<Pdu>,
) {
    // Whoever was cut off meanwhile hears nothing.
    let _ = pipe.send(Command::new(status, number, pdu)).await;
}

async fn report(pipe: &mut Framed<TcpStream, CommandCodec>, sequence: u32, id: &str, stat: &str) {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2611231200 done date:2611231200 stat:{stat} err:000 text:Your code"
    );
    let deliver = DeliverSm::builder()
        .esm_class(EsmClass::from(RECEIPT))
        .short_message(OctetString::from_str(&text).unwrap())
        .build();
    send(pipe, CommandStatus::EsmeRok, sequence, deliver).await;
}
