//! The rules of Chappe, and nothing else.
//!
//! This crate decides what a verification-code gateway may do: who is charged, which code is right, when a message
//! has expired and is refunded, which report is due. It knows no database, no clock, no randomness and no async:
//! whoever calls it brings the time, the new ids and the drawn code along (a [`Command`]) and the rows that the
//! command touches (a [`Book`]); [`decide()`] changes the book in memory and says what came of it (an [`Outcome`] or a
//! [`Rejection`]). The engine, the simulator and every database run these very functions.
//!
//! The room of a rule:
//!
//! * values, parsed once and never invalid after: [`phone`], [`code`], [`ttl`], [`money`], [`ids`], [`time`], [`text`]
//! * [`hex`], as which digests are written
//! * rules over one thing: [`prefix`], [`price`], [`account`], [`limits`], [`route`], [`request`], [`ledger`], [`report`], [`statistics`]
//! * commands over a working set: [`command`], [`book`], [`mod@decide`]

pub mod account;
pub mod book;
pub mod code;
pub mod command;
pub mod decide;
pub mod hex;
pub mod ids;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod phone;
pub mod planted;
pub mod prefix;
pub mod price;
pub mod report;
pub mod request;
pub mod route;
pub mod statistics;
pub mod text;
pub mod time;
pub mod timeline;
pub mod ttl;

pub use account::{Account, Mode};
pub use book::{Book, Keys, News, Work};
pub use code::{Code, CodeLength, CodeMac};
pub use command::{ChannelEvent, Command, Outcome, Rejection, View};
pub use decide::{Rules, decide};
pub use ids::{AccountId, ReportId, RequestId, TokenId};
pub use money::Money;
pub use phone::{Country, Magic, Phone};
pub use request::{Delivery, Request, Verification};
pub use route::Hop;
pub use time::Time;
pub use ttl::Ttl;
