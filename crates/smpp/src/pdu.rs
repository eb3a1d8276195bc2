//! What comes in: PDUs out of a stream, and the bodies that matter here.
//!
//! Writing is `rusmpp`'s. Reading is done here, for two reasons. A PDU that cannot be read must not cost the ones
//! behind it, so PDUs are cut out of the stream by their length alone. And operators are freer than the specification:
//! ids without a terminating NUL or longer than 64 octets, addresses in Latin 1, times of any length. None of this may
//! lose a receipt. Nothing here panics, whatever comes.

use crate::status::CommandStatus;
use bytes::{Buf, Bytes, BytesMut};
use rusmpp::CommandId;
use tokio_util::codec::Decoder;

/// The most octets of a PDU. The largest that makes sense carries a message_payload of 64 KiB; anything larger is not
/// SMPP.
pub(crate) const LENGTH_MAX: usize = 64 * 1024;

/// command_length, command_id, command_status, sequence_number.
const HEADER: usize = 16;

/// One PDU: its header, and a body not yet looked at.
#[derive(Clone, Debug)]
pub(crate) struct Pdu {
    /// What it is.
    pub(crate) id: CommandId,
    /// Of a response: how it went.
    pub(crate) status: CommandStatus,
    /// Which request a response belongs to.
    pub(crate) sequence: u32,
    /// Everything after the header.
    pub(crate) body: Bytes,
}

/// Cuts a stream of octets into PDUs.
#[derive(Debug, Default)]
pub(crate) struct Reader;

/// Why nothing more can be read from a stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Where the next PDU begins cannot be known.
    #[error("a PDU of {0} octets")]
    Length(usize),
    /// The connection failed, or ended within a PDU.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Decoder for Reader {
    type Item = Pdu;
    type Error = ReadError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Pdu>, ReadError> {
        let Some(length) = source.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if !(HEADER..=LENGTH_MAX).contains(&length) {
            return Err(ReadError::Length(length));
        }
        if source.len() < length {
            source.reserve(length - source.len());
            return Ok(None);
        }
        let mut body = source.split_to(length).freeze();
        body.advance(4);
        let (id, status, sequence) = (body.get_u32(), body.get_u32(), body.get_u32());
        Ok(Some(Pdu { id: CommandId::from(id), status: CommandStatus(status), sequence, body }))
    }
}

/// The longest message id that is taken. The specification has 64.
pub(crate) const ID_MAX: usize = 255;

/// The message_id of a submit_sm_resp: what stands before the first NUL. `None` if there is none.
pub(crate) fn message_id(mut body: Bytes) -> Option<String> {
    let id = text(&c_string(&mut body));
    (1..=ID_MAX).contains(&id.len()).then_some(id)
}

/// What a deliver_sm or a data_sm carries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub esm_class: u8,
    pub data_coding: u8,
    /// short_message, or message_payload if that is there.
    pub text: Bytes,
    pub receipted_message_id: Option<String>,
    pub message_state: Option<u8>,
    /// Only the code; the kind of network before it is of no use here.
    pub network_error_code: Option<u16>,
}

impl Delivery {
    /// `None` if the fixed part does not hold together. Optional parameters are read as far as they do.
    pub(crate) fn read_deliver_sm(mut body: Bytes) -> Option<Delivery> {
        let mut delivery = Delivery { esm_class: addresses(&mut body)?, ..Delivery::default() };
        // protocol_id, priority_flag
        body.try_get_u16().ok()?;
        // schedule_delivery_time, validity_period
        c_string(&mut body);
        c_string(&mut body);
        // registered_delivery, replace_if_present_flag
        body.try_get_u16().ok()?;
        delivery.data_coding = body.try_get_u8().ok()?;
        // sm_default_msg_id
        body.try_get_u8().ok()?;
        let length = usize::from(body.try_get_u8().ok()?);
        if body.len() < length {
            return None;
        }
        delivery.text = body.split_to(length);
        delivery.read_parameters(body);
        Some(delivery)
    }

    pub(crate) fn read_data_sm(mut body: Bytes) -> Option<Delivery> {
        let mut delivery = Delivery { esm_class: addresses(&mut body)?, ..Delivery::default() };
        // registered_delivery
        body.try_get_u8().ok()?;
        delivery.data_coding = body.try_get_u8().ok()?;
        delivery.read_parameters(body);
        Some(delivery)
    }

    fn read_parameters(&mut self, mut body: Bytes) {
        while body.len() >= 4 {
            let (tag, length) = (body.get_u16(), usize::from(body.get_u16()));
            if body.len() < length {
                return;
            }
            let mut value = body.split_to(length);
            match (tag, length) {
                (0x001E, _) => self.receipted_message_id = message_id(value),
                (0x0423, 3) => self.network_error_code = Some((value.get_uint(3) & 0xFFFF) as u16),
                (0x0424, _) => self.text = value,
                (0x0427, 1) => self.message_state = Some(value.get_u8()),
                _ => {}
            }
        }
    }
}

/// Passes over service_type, source and destination, and gives the esm_class behind them.
fn addresses(body: &mut Bytes) -> Option<u8> {
    c_string(body);
    for _ in 0..2 {
        // TON and NPI
        body.try_get_u16().ok()?;
        c_string(body);
    }
    body.try_get_u8().ok()
}

/// Up to the next NUL, which is passed over, or to the end.
fn c_string(body: &mut Bytes) -> Bytes {
    let end = body.iter().position(|octet| *octet == 0);
    let string = body.split_to(end.unwrap_or(body.len()));
    if end.is_some() {
        body.advance(1);
    }
    string
}

/// Latin 1, of which ASCII is a part: nothing can be wrong with it.
pub(crate) fn text(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect::<String>().trim().to_owned()
}
