//! One bound connection, from the bind to its end.

use super::driver::Shared;
use super::outbox::Outbox;
use super::{DownReason, Job, ReceiptDelivery, Reply};
use crate::error::{NotSent, SubmitError, Uncertainty};
use crate::pdu::{self, Delivery, Pdu, ReadError, Reader};
use crate::receipt::{self, Reading};
use crate::status::{CommandStatus, Verdict};
use rusmpp::CommandId;
use rusmpp::pdus::{DataSmResp, DeliverSmResp};
use std::collections::HashMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::FramedRead;

/// How long an SMSC has to answer our unbind, and to take the last PDUs of an ending connection.
const FAREWELL: Duration = Duration::from_secs(5);

/// What to wait after ESME_RMSGQFUL, RSYSERR and their like: a queue has to drain, or somebody has to look.
const LATER: Duration = Duration::from_secs(10);

/// Bit 31 of a command_id: the PDU answers another one.
const RESPONSE: u32 = 0x8000_0000;

/// Sequence numbers are 1 to this (SMPP 3.4, 5.1.4).
const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The session was shut down.
    Stopped,
    /// The connection has to be made anew.
    Down(DownReason),
}

/// The two ends of a stream.
pub(super) struct Ends<S> {
    pub(super) reader: FramedRead<ReadHalf<S>, Reader>,
    pub(super) writer: WriteHalf<S>,
}

pub(super) struct Link<'a, S> {
    shared: &'a mut Shared,
    ends: Ends<S>,
    outbox: Outbox,
    /// The last sequence number given.
    sequence: u32,
    /// The next segment to be written.
    first: Option<Job>,
    /// Segments that were given a sequence number and wait for their answer.
    window: HashMap<u32, InFlight>,
    /// Receipts that wait to be acknowledged, by a number of our own: an SMSC may use its sequence numbers again.
    receipts: HashMap<u64, Waiting>,
    last_receipt: u64,
    verdicts_in: mpsc::Sender<(u64, bool)>,
    verdicts: mpsc::Receiver<(u64, bool)>,
    /// When a whole PDU last came.
    heard: Instant,
    /// When an enquire_link was sent that nothing has followed yet.
    asked: Option<Instant>,
    phase: Phase,
}

struct InFlight {
    reply: Reply,
    expires: Instant,
}

struct Waiting {
    kind: Kind,
    sequence: u32,
    expires: Instant,
}

/// Which request brought a receipt: each has an answer of its own.
#[derive(Clone, Copy)]
enum Kind {
    DeliverSm,
    DataSm,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Open,
    /// Nothing more is submitted; what is in flight may still be answered.
    Draining,
    /// The unbind is sent; until then its answer has time.
    Unbinding(Instant),
}

enum Event {
    Read(Result<Pdu, DownReason>),
    Wrote(io::Result<()>),
    /// A segment is now first in line.
    First,
    Verdict(u64, bool),
    Stop,
    Tick,
}

impl<'a, S: AsyncRead + AsyncWrite> Link<'a, S> {
    pub(super) fn new(shared: &'a mut Shared, ends: Ends<S>) -> Self {
        let (verdicts_in, verdicts) = mpsc::channel(shared.config.receipts);
        Link {
            shared,
            ends,
            outbox: Outbox::default(),
            // The bind was the first.
            sequence: 1,
            first: None,
            window: HashMap::new(),
            receipts: HashMap::new(),
            last_receipt: 0,
            verdicts_in,
            verdicts,
            heard: Instant::now(),
            asked: None,
            phase: Phase::Open,
        }
    }

    pub(super) async fn run(mut self) -> End {
        loop {
            let event = self.event().await;
            let end = match event {
                Event::Read(Ok(pdu)) => self.take(pdu),
                Event::Read(Err(reason)) => {
                    if matches!(reason, DownReason::Garbage(_)) {
                        self.outbox.push(0, CommandStatus::RINVCMDLEN, rusmpp::Pdu::GenericNack);
                    }
                    Some(End::Down(reason))
                }
                Event::Wrote(Err(error)) => Some(End::Down(DownReason::Lost(error.to_string()))),
                Event::Verdict(number, is_taken) => {
                    let status = if is_taken { CommandStatus::ROK } else { CommandStatus::RX_T_APPN };
                    self.answer_receipt(number, status);
                    None
                }
                Event::Stop => {
                    self.drain();
                    None
                }
                Event::Wrote(Ok(())) | Event::First | Event::Tick => None,
            };
            if let Some(end) = end.or_else(|| self.look_at_the_clock()) {
                return self.farewell(end).await;
            }
            self.submit();
        }
    }

    /// Waits for the next thing to happen. Nothing is lost if one branch wins over another.
    async fn event(&mut self) -> Event {
        let alarm = self.alarm();
        let is_open = self.phase == Phase::Open;
        let Link { shared, ends, outbox, window, first, verdicts, .. } = self;
        tokio::select! {
            // Each branch waits for the last one in the end, so none keeps the others out for ever.
            biased;
            _ = shared.stop.wait_for(|stop| *stop), if is_open => Event::Stop,
            Some((number, is_taken)) = verdicts.recv() => Event::Verdict(number, is_taken),
            Some(job) = shared.queue.recv(), if is_open && first.is_none() => {
                *first = Some(job);
                Event::First
            }
            wrote = write(outbox, &mut ends.writer, window), if !outbox.is_idle() => Event::Wrote(wrote),
            read = next(&mut ends.reader), if !outbox.is_full() => Event::Read(read),
            () = sleep_until(alarm) => Event::Tick,
        }
    }

    /// The next moment at which something is due.
    fn alarm(&self) -> Instant {
        let config = &self.shared.config;
        let link = match self.asked {
            Some(asked) => asked + config.enquire_link_timeout,
            None => self.heard + config.enquire_link_interval,
        };
        let answers = self.window.values().map(|submit| submit.expires);
        let receipts = self.receipts.values().map(|receipt| receipt.expires);
        let first = self.first.as_ref().map(|job| match self.has_room() {
            true => job.expires.min(self.shared.pace.ready_at()),
            false => job.expires,
        });
        let unbind = match self.phase {
            Phase::Unbinding(until) => Some(until),
            Phase::Open | Phase::Draining => None,
        };
        answers.chain(receipts).chain(first).chain(unbind).fold(link, Instant::min)
    }

    /// Does what is due.
    fn look_at_the_clock(&mut self) -> Option<End> {
        let now = Instant::now();
        let config = &self.shared.config;
        if self.asked.is_some_and(|asked| now >= asked + config.enquire_link_timeout) {
            return Some(End::Down(DownReason::Silent));
        }
        if self.asked.is_none() && now >= self.heard + config.enquire_link_interval {
            self.asked = Some(now);
            let sequence = self.next_sequence();
            self.outbox.push(sequence, CommandStatus::ROK, rusmpp::Pdu::EnquireLink);
        }
        for (_, submit) in self.window.extract_if(|_, submit| now >= submit.expires) {
            if !submit.reply.is_sent {
                // For all this time the SMSC has not even taken it off the line. Ended here, it never will.
                return Some(End::Down(DownReason::Silent));
            }
            submit.reply.send(Err(SubmitError::uncertain(Uncertainty::NoAnswer)));
        }
        let is_late = |receipt: &(&u64, &Waiting)| now >= receipt.1.expires;
        let late: Vec<u64> = self.receipts.iter().filter(is_late).map(|(number, _)| *number).collect();
        for number in late {
            self.answer_receipt(number, CommandStatus::RX_T_APPN);
        }
        if let Some(job) = self.first.take_if(|job| now >= job.expires || job.reply.is_abandoned()) {
            job.reply.send(Err(SubmitError::NotSent(NotSent::Expired)));
        }
        match self.phase {
            Phase::Unbinding(until) if now >= until => return Some(End::Stopped),
            Phase::Draining if self.window.is_empty() => {
                let sequence = self.next_sequence();
                self.outbox.push(sequence, CommandStatus::ROK, rusmpp::Pdu::Unbind);
                self.phase = Phase::Unbinding(now + FAREWELL);
            }
            Phase::Open | Phase::Draining | Phase::Unbinding(_) => {}
        }
        None
    }

    /// Whether a segment may be written, as far as the connection is concerned. Only one lies in the outbox at a time:
    /// while the SMSC does not take what we write, the others are better kept where they count as not sent.
    fn has_room(&self) -> bool {
        self.window.len() < self.shared.config.window && self.outbox.is_empty()
    }

    fn submit(&mut self) {
        let now = Instant::now();
        if !self.has_room() || now < self.shared.pace.ready_at() {
            return;
        }
        let Some(job) = self.first.take() else { return };
        if job.reply.is_abandoned() {
            return;
        }
        let sequence = self.next_sequence();
        self.outbox.push(sequence, CommandStatus::ROK, job.submit);
        let expires = now + self.shared.config.response_timeout;
        self.window.insert(sequence, InFlight { reply: job.reply, expires });
        self.shared.pace.sent(now);
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = if self.sequence >= SEQUENCE_MAX { 1 } else { self.sequence + 1 };
        self.sequence
    }

    /// Ends submitting. Whatever has not been written is not sent.
    fn drain(&mut self) {
        self.phase = Phase::Draining;
        if let Some(job) = self.first.take() {
            job.reply.send(Err(SubmitError::NotSent(NotSent::ShuttingDown)));
        }
        self.shared.refuse_all();
    }

    /// Gives the last PDUs a moment to leave, and closes as the transport would have it.
    async fn farewell(mut self, end: End) -> End {
        let Link { ends, outbox, window, .. } = &mut self;
        let leaving = async {
            while !outbox.is_idle() {
                write(outbox, &mut ends.writer, window).await?;
            }
            ends.writer.shutdown().await
        };
        // Nobody is there to take leave of where the line is dead.
        if !matches!(end, End::Down(DownReason::Lost(_) | DownReason::Silent)) {
            // Whether or not it works out, the connection ends here.
            let _ = timeout(FAREWELL, leaving).await;
        }
        end
    }
}

/// What comes in.
impl<S: AsyncRead + AsyncWrite> Link<'_, S> {
    fn take(&mut self, pdu: Pdu) -> Option<End> {
        self.heard = Instant::now();
        self.asked = None;
        match pdu.id {
            CommandId::SubmitSmResp | CommandId::GenericNack => self.take_answer(pdu),
            CommandId::DeliverSm => self.take_delivery(Kind::DeliverSm, pdu),
            CommandId::DataSm => self.take_delivery(Kind::DataSm, pdu),
            CommandId::EnquireLink => {
                self.outbox.push(pdu.sequence, CommandStatus::ROK, rusmpp::Pdu::EnquireLinkResp);
            }
            CommandId::Unbind => {
                self.outbox.push(pdu.sequence, CommandStatus::ROK, rusmpp::Pdu::UnbindResp);
                let is_ours = self.phase != Phase::Open;
                return Some(if is_ours { End::Stopped } else { End::Down(DownReason::Unbound) });
            }
            CommandId::UnbindResp if matches!(self.phase, Phase::Unbinding(_)) => return Some(End::Stopped),
            // These two have no answer.
            CommandId::AlertNotification | CommandId::Outbind => {}
            // An answer that nobody waits for.
            id if u32::from(id) & RESPONSE != 0 => {}
            _ => self.outbox.push(pdu.sequence, CommandStatus::RINVCMDID, rusmpp::Pdu::GenericNack),
        }
        None
    }

    fn take_answer(&mut self, pdu: Pdu) {
        // One that comes too late belongs to nobody any more.
        let Some(submit) = self.window.remove(&pdu.sequence) else { return };
        let is_success = pdu.id == CommandId::SubmitSmResp && pdu.status == CommandStatus::ROK;
        let result = if is_success {
            match pdu::message_id(pdu.body) {
                Some(id) => Ok(self.shared.config.id_format.of_submit(&id)),
                None => Err(SubmitError::uncertain(Uncertainty::NoId)),
            }
        } else {
            Err(self.refusal(pdu.status))
        };
        submit.reply.send(result);
    }

    fn refusal(&mut self, status: CommandStatus) -> SubmitError {
        match status.verdict() {
            Verdict::Final => SubmitError::Refused(status),
            Verdict::Later => SubmitError::TryLater { status, after: LATER },
            Verdict::Throttled => {
                SubmitError::TryLater { status, after: self.shared.pace.throttled(Instant::now()) }
            }
        }
    }

    fn take_delivery(&mut self, kind: Kind, pdu: Pdu) {
        let delivery = match kind {
            Kind::DeliverSm => Delivery::read_deliver_sm(pdu.body),
            Kind::DataSm => Delivery::read_data_sm(pdu.body),
        };
        let Some(delivery) = delivery else {
            tracing::warn!("an unreadable message from the SMSC was rejected");
            return self.answer(kind, pdu.sequence, CommandStatus::RX_P_APPN);
        };
        match receipt::read(&delivery, self.shared.config.id_format) {
            Reading::Receipt(receipt) => self.hand_on(kind, pdu.sequence, receipt),
            Reading::Message => self.answer(kind, pdu.sequence, CommandStatus::ROK),
            Reading::Unreadable => {
                tracing::warn!("a delivery receipt that names no message was passed over");
                self.answer(kind, pdu.sequence, CommandStatus::ROK);
            }
        }
    }

    fn hand_on(&mut self, kind: Kind, sequence: u32, receipt: crate::Receipt) {
        self.last_receipt += 1;
        let number = self.last_receipt;
        let verdicts = self.verdicts_in.clone();
        let delivery = ReceiptDelivery { receipt, number, verdicts, is_taken: false };
        let expires = Instant::now() + self.shared.config.receipt_timeout;
        self.receipts.insert(number, Waiting { kind, sequence, expires });
        // What finds no place stays with the SMSC.
        if self.receipts.len() > self.shared.config.receipts
            || self.shared.receipts.try_send(delivery).is_err()
        {
            self.answer_receipt(number, CommandStatus::RX_T_APPN);
        }
    }

    fn answer_receipt(&mut self, number: u64, status: CommandStatus) {
        if let Some(receipt) = self.receipts.remove(&number) {
            self.answer(receipt.kind, receipt.sequence, status);
        }
    }

    fn answer(&mut self, kind: Kind, sequence: u32, status: CommandStatus) {
        match kind {
            Kind::DeliverSm => self.outbox.push(sequence, status, DeliverSmResp::default()),
            Kind::DataSm => self.outbox.push(sequence, status, DataSmResp::default()),
        }
    }
}

/// Writes some more, and notes which submit_sm has left by that, or may have. Can be dropped while it waits.
async fn write<W: AsyncWrite + Unpin>(
    outbox: &mut Outbox,
    writer: &mut W,
    window: &mut HashMap<u32, InFlight>,
) -> io::Result<()> {
    let result = outbox.advance(writer).await;
    let sent = match &result {
        Ok(submit) => *submit,
        Err(_) => outbox.first_submit(),
    };
    if let Some(submit) = sent.and_then(|sequence| window.get_mut(&sequence)) {
        submit.reply.is_sent = true;
    }
    result.map(|_| ())
}

/// The next PDU.
pub(super) async fn next<R: AsyncRead + Unpin>(
    reader: &mut FramedRead<R, Reader>,
) -> Result<Pdu, DownReason> {
    use futures_core::Stream;
    let read = std::future::poll_fn(|context| std::pin::Pin::new(&mut *reader).poll_next(context)).await;
    match read {
        Some(Ok(pdu)) => Ok(pdu),
        Some(Err(error @ ReadError::Length(_))) => Err(DownReason::Garbage(error.to_string())),
        Some(Err(ReadError::Io(error))) => Err(DownReason::Lost(error.to_string())),
        None => Err(DownReason::Lost("the SMSC closed it".to_owned())),
    }
}
