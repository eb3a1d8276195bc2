//! An SMPP 3.4 client session (an ESME): it binds as a transceiver, submits short messages, hands on delivery receipts,
//! and connects again when the connection is lost.
//!
//! * [`session`] makes a [`Client`] to submit with, [`Receipts`] to take from, and a [`Driver`] to run.
//! * [`Message`] and [`Address`]: what is sent. [`plan`] says how long it is, and in how many parts it goes.
//! * [`SubmitError`]: whether a message that was not taken may be sent again.
//! * [`Receipt`]: what became of a message. The SMSC is told that it arrived only after
//!   [`ReceiptDelivery::acknowledge`].
//! * [`State`]: whether the session is bound, and if not, why and until when.
//!
//! The caller dials: [`session`] takes a function that gives a stream, over TCP, TLS or whatever else. Time is tokio's,
//! randomness is passed in, and no task is started that the caller does not hold.

mod config;
mod error;
mod message;
mod pdu;
mod receipt;
mod session;
mod status;
mod text;

pub use config::{CheckedConfig, Config, InvalidConfig};
pub use error::{NotSent, SubmitError, Submitted, Uncertainty};
pub use message::{Address, InvalidMessage, Message};
pub use receipt::{Failure, IdFormat, Outcome, Receipt};
pub use session::{Client, DownReason, Driver, ReceiptDelivery, Receipts, State, session};
pub use status::CommandStatus;
pub use text::{Alphabet, Plan, SEGMENTS_MAX, Septets, plan};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
