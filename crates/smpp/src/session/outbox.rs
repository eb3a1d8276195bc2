//! What waits to be written.

use crate::status::CommandStatus;
use bytes::{Bytes, BytesMut};
use rusmpp::tokio_codec::CommandCodec;
use rusmpp::{Command, Pdu};
use std::collections::VecDeque;
use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::codec::Encoder;

/// The most PDUs that wait. Past this nothing is read: an SMSC that asks without taking answers has to wait.
const WAITING_MAX: usize = 256;

/// PDUs in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Outgoing>,
    /// Something was written that the transport may still hold back.
    is_unflushed: bool,
}

#[derive(Debug)]
struct Outgoing {
    /// What is left of it.
    octets: Bytes,
    /// Its sequence number, if it is a submit_sm.
    submit: Option<u32>,
}

impl Outbox {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_unflushed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    pub(super) fn push(&mut self, sequence: u32, status: CommandStatus, pdu: impl Into<Pdu>) {
        let pdu = pdu.into();
        let submit = matches!(pdu, Pdu::SubmitSm(_)).then_some(sequence);
        let octets = encode(Command::new(status.0.into(), sequence, pdu));
        self.waiting.push_back(Outgoing { octets, submit });
    }

    /// The submit_sm that is first in line: if writing fails, that is the one whose fate is unknown.
    pub(super) fn first_submit(&self) -> Option<u32> {
        self.waiting.front()?.submit
    }

    /// Writes some more. Gives the sequence number of a submit_sm that has now been handed over in whole. If this is
    /// dropped while it waits, nothing was written that is not accounted for.
    pub(super) async fn advance<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> io::Result<Option<u32>> {
        let Some(first) = self.waiting.front_mut() else {
            writer.flush().await?;
            self.is_unflushed = false;
            return Ok(None);
        };
        if writer.write_buf(&mut first.octets).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.is_unflushed = true;
        if !first.octets.is_empty() {
            return Ok(None);
        }
        Ok(self.waiting.pop_front().and_then(|written| written.submit))
    }
}

fn encode(command: Command) -> Bytes {
    let mut octets = BytesMut::new();
    // Its only errors are those of a writer, and memory is none.
    let _ = CommandCodec::new().encode(command, &mut octets);
    octets.freeze()
}
