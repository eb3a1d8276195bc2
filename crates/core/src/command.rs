//! Commands: what can be asked of the rules, and what they answer.
//!
//! A command is plain data. Everything that the rules must not find out by themselves — the time, new ids, drawn codes,
//! whether a channel can reach a number — is already in it.

use crate::account::Mode;
use crate::book::Keys;
use crate::code::{Code, CodeMac};
use crate::ids::{AccountId, ReportId, RequestId, TokenId};
use crate::ledger::Kind;
use crate::money::Money;
use crate::phone::{Country, Phone};
use crate::report::{Attempt, Report};
use crate::request::{Delivery, Verification};
use crate::route::Route;
use crate::text::{ChannelName, Payload, Username};
use crate::time::Time;
use crate::ttl::Ttl;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Who calls: the bearer of a token that was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// The token.
    pub token: TokenId,
    /// The account's mode.
    pub mode: Mode,
}

/// An `Idempotency-Key` and what it was given with, both as digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The digest of the key.
    pub key: [u8; 32],
    /// The digest of the method and its parameters.
    pub body: [u8; 32],
}

/// checkSendAbility.
#[derive(Clone, Debug)]
pub struct CheckSendAbility {
    /// Who asks.
    pub caller: Caller,
    /// When.
    pub now: Time,
    /// The id that the request gets.
    pub new_id: RequestId,
    /// The number.
    pub phone: Phone,
    /// Its country.
    pub country: Country,
    /// Its route.
    pub route: Route,
    /// The idempotency key, if one was given.
    pub idempotency: Option<Idempotency>,
}

/// What a caller wants sent.
#[derive(Clone, Debug)]
pub struct MessageParams {
    /// The code: the caller's own, or drawn.
    pub code: Code,
    /// Its digest together with the request id under which it goes out.
    pub code_mac: CodeMac,
    /// The sender channel.
    pub sender: Option<Username>,
    /// Where reports go.
    pub callback_url: Option<Arc<str>>,
    /// What the caller wants back.
    pub payload: Option<Payload>,
    /// How long delivery may take.
    pub ttl: Option<Ttl>,
}

/// sendVerificationMessage.
#[derive(Clone, Debug)]
pub struct SendVerificationMessage {
    /// Who asks.
    pub caller: Caller,
    /// When.
    pub now: Time,
    /// The request that checkSendAbility made, if the caller names one.
    pub prior: Option<RequestId>,
    /// The id that the request gets if it is a new one.
    pub new_id: RequestId,
    /// The number.
    pub phone: Phone,
    /// Its country.
    pub country: Country,
    /// Its route.
    pub route: Route,
    /// The message; or what is wrong with it, which is only told once the request id was found good.
    pub message: Result<MessageParams, Rejection>,
    /// The idempotency key, if one was given.
    pub idempotency: Option<Idempotency>,
}

/// A code as someone entered it.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The text, to be given back.
    pub text: Arc<str>,
    /// Its digest together with the request id.
    pub mac: CodeMac,
}

/// Something that a channel says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelEvent {
    /// It took the message over, calls it by this name, and wants to be asked again at this moment.
    Accepted {
        /// The channel's own name for the message.
        reference: Option<String>,
        /// When to ask it again.
        poll_at: Option<Time>,
    },
    /// It wants to be tried again after this long.
    Postponed {
        /// How long.
        after: Duration,
        /// Why.
        reason: String,
    },
    /// It has its hands full and did not look at the message yet.
    Busy {
        /// When to come again.
        after: Duration,
    },
    /// It is out of order: this is about the channel, not about the message.
    Unavailable {
        /// When it may be in order again.
        after: Duration,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot deliver the message, ever; or it cannot take it back.
    Failed {
        /// Why.
        reason: String,
    },
    /// It cannot be known whether the channel has the message.
    Uncertain {
        /// Why not.
        reason: String,
    },
    /// The message is on the phone.
    Delivered,
    /// The message was opened.
    Read,
    /// The message was taken back.
    Withdrawn,
}

/// Everything that can be asked of the rules.
#[derive(Clone, Debug)]
pub enum Command {
    /// Can this number be reached?
    CheckSendAbility(CheckSendAbility),
    /// Send a code.
    Send(SendVerificationMessage),
    /// The state of a request; with a code, judge it.
    CheckStatus {
        /// Who asks.
        caller: Caller,
        /// When.
        now: Time,
        /// The request.
        request: RequestId,
        /// The code to judge.
        entered: Option<Entered>,
    },
    /// Withdraw a message.
    Revoke {
        /// Who asks.
        caller: Caller,
        /// When.
        now: Time,
        /// The request.
        request: RequestId,
    },
    /// What the account has left.
    Balance {
        /// Who asks.
        caller: Caller,
    },
    /// A channel says something of a message.
    Channel {
        /// When it was heard.
        now: Time,
        /// The request.
        request: RequestId,
        /// The hop that it says it of.
        hop: u8,
        /// The channel that says it. It is not heard on hops of other channels.
        channel: ChannelName,
        /// What, in order.
        events: Vec<ChannelEvent>,
    },
    /// A request's due moment has come: take it for delivery, ask its channel, or expire it.
    Due {
        /// When.
        now: Time,
        /// The request.
        request: RequestId,
        /// Whether the clock is trusted enough to let deliveries expire.
        may_expire: bool,
    },
    /// Take a due report for one attempt.
    ClaimReport {
        /// When.
        now: Time,
        /// The report.
        report: ReportId,
    },
    /// What an attempt at a report came to.
    ConcludeReport {
        /// When.
        now: Time,
        /// The report.
        report: ReportId,
        /// The outcome.
        attempt: Attempt,
        /// How long it took.
        took: Duration,
        /// A draw for the next pause, 0 to [`crate::report::JITTER_MAX_PERMILLE`].
        jitter_permille: u16,
    },
    /// Send a report again, at once. Another account's report is answered exactly as one that never was.
    ResendReport {
        /// When.
        now: Time,
        /// Who asks.
        account: AccountId,
        /// The report.
        report: ReportId,
    },
    /// Move money from or to outside. A negative amount takes it away.
    Credit {
        /// When.
        now: Time,
        /// The account.
        account: AccountId,
        /// A deposit or an adjustment.
        kind: Kind,
        /// How much; not zero.
        amount: Money,
        /// A reference that makes it happen only once.
        reference: Option<String>,
        /// Why, in words.
        reason: String,
    },
}

impl Command {
    /// Adds the rows that the command needs to `keys`.
    pub fn add_keys(&self, keys: &mut Keys) {
        match self {
            Command::CheckSendAbility(check) => {
                keys.accounts.insert(check.caller.account);
                keys.subscribed(&check.route, check.phone);
                keys.remember(check.caller.account, check.idempotency);
            }
            Command::Send(send) => {
                keys.accounts.insert(send.caller.account);
                keys.requests.extend(send.prior);
                keys.sends.insert((send.caller.mode, send.phone));
                keys.subscribed(&send.route, send.phone);
                let sender = send.message.as_ref().ok().and_then(|message| message.sender.clone());
                keys.senders.extend(sender.map(|sender| (send.caller.account, sender)));
                keys.remember(send.caller.account, send.idempotency);
            }
            Command::CheckStatus { caller, request, entered, .. } => {
                keys.accounts.insert(caller.account);
                keys.requests.insert(*request);
                keys.attempts.extend(entered.as_ref().map(|_| *request));
            }
            Command::Revoke { request, .. }
            | Command::Channel { request, .. }
            | Command::Due { request, .. } => {
                keys.requests.insert(*request);
            }
            Command::Balance { caller } => {
                keys.accounts.insert(caller.account);
            }
            Command::ClaimReport { report, .. } => {
                keys.reports.insert(*report);
                keys.reports.extend(report.earlier());
                keys.requests.insert(report.request);
            }
            Command::ConcludeReport { report, .. } | Command::ResendReport { report, .. } => {
                keys.reports.insert(*report);
            }
            Command::Credit { account, reference, .. } => {
                keys.accounts.insert(*account);
                keys.references.extend(reference.clone());
            }
        }
    }
}

/// A request as its caller may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its id.
    pub request: RequestId,
    /// The number.
    pub phone: Phone,
    /// The fee.
    pub cost: Money,
    /// Whether the fee was given back.
    pub refunded: bool,
    /// What the account has left; only in answers of the two methods that charge.
    pub remaining_balance: Option<Money>,
    /// Where the message is, and since when.
    pub delivery: Option<(Delivery, Time)>,
    /// What is known of its code, and since when.
    pub verification: Option<(Verification, Time)>,
    /// The code that the call passed.
    pub code_entered: Option<Arc<str>>,
    /// What the caller wants back.
    pub payload: Option<Payload>,
}

/// A report taken for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportJob {
    /// The report.
    pub report: Report,
    /// Where it goes.
    pub callback_url: Arc<str>,
    /// Its body.
    pub view: View,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A request, as its caller may see it.
    Request(Box<View>),
    /// A withdrawal was received.
    Revoked,
    /// What the account has left.
    Balance(Money),
    /// A report to be sent.
    Report(Box<ReportJob>),
    /// Money was moved; the balance after it.
    Credited(Money),
    /// Money had been moved for this reference before; nothing was done.
    AlreadyCredited,
    /// Done, or there was nothing to do.
    Done,
}

/// Why a caller is refused. Each has a name on the wire. They are judged in the order of the variants; a used
/// idempotency key is the one exception, since only the database knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.name())]
pub enum Rejection {
    /// No such method.
    UnknownMethod,
    /// One parameter came twice with different values.
    ParameterConflict,
    /// No token was given.
    AccessTokenRequired,
    /// The token is unknown, revoked or expired.
    AccessTokenInvalid,
    /// The token is good, but not from this address.
    IpNotAllowed,
    /// The `Idempotency-Key` is empty, too long or not printable ASCII.
    IdempotencyKeyInvalid,
    /// The `Idempotency-Key` was used before with other parameters.
    IdempotencyKeyReused,
    /// Missing, empty or malformed.
    PhoneNumberInvalid,
    /// No request id was given where one is needed.
    RequestIdRequired,
    /// Unknown, or another account's.
    RequestIdInvalid,
    /// The number differs from the request id's.
    PhoneNumberMismatch,
    /// A second message with one request id.
    MessageAlreadySent,
    /// Not 4 to 8 ASCII digits.
    CodeInvalid,
    /// Neither a code nor a length.
    CodeLengthRequired,
    /// Outside 4 to 8.
    CodeLengthInvalid,
    /// Outside 30 to 3600 seconds.
    TtlInvalid,
    /// Not https, too long, or no URL.
    CallbackUrlInvalid,
    /// Over 128 bytes.
    PayloadInvalid,
    /// No username.
    SenderUsernameInvalid,
    /// Not a sender of this account.
    SenderNotOwned,
    /// A sender of this account that nobody has verified.
    SenderNotVerified,
    /// Too much; again after so many seconds.
    FloodWait(u64),
    /// Less money than the fee.
    BalanceNotEnough,
    /// No channel of the route can reach the number.
    PhoneNumberNotAvailable,
    /// An amount of money that is zero or too large to be booked. Not on the wire: the operator's commands alone move
    /// money by hand.
    AmountInvalid,
}

impl Rejection {
    /// The name on the wire.
    pub fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Rejection::FloodWait(seconds) => return Cow::Owned(format!("FLOOD_WAIT_{seconds}")),
            Rejection::UnknownMethod => "UNKNOWN_METHOD",
            Rejection::ParameterConflict => "PARAMETER_CONFLICT",
            Rejection::AccessTokenRequired => "ACCESS_TOKEN_REQUIRED",
            Rejection::AccessTokenInvalid => "ACCESS_TOKEN_INVALID",
            Rejection::IpNotAllowed => "IP_NOT_ALLOWED",
            Rejection::IdempotencyKeyInvalid => "IDEMPOTENCY_KEY_INVALID",
            Rejection::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Rejection::PhoneNumberInvalid => "PHONE_NUMBER_INVALID",
            Rejection::RequestIdRequired => "REQUEST_ID_REQUIRED",
            Rejection::RequestIdInvalid => "REQUEST_ID_INVALID",
            Rejection::PhoneNumberMismatch => "PHONE_NUMBER_MISMATCH",
            Rejection::MessageAlreadySent => "MESSAGE_ALREADY_SENT",
            Rejection::CodeInvalid => "CODE_INVALID",
            Rejection::CodeLengthRequired => "CODE_LENGTH_REQUIRED",
            Rejection::CodeLengthInvalid => "CODE_LENGTH_INVALID",
            Rejection::TtlInvalid => "TTL_INVALID",
            Rejection::CallbackUrlInvalid => "CALLBACK_URL_INVALID",
            Rejection::PayloadInvalid => "PAYLOAD_INVALID",
            Rejection::SenderUsernameInvalid => "SENDER_USERNAME_INVALID",
            Rejection::SenderNotOwned => "SENDER_NOT_OWNED",
            Rejection::SenderNotVerified => "SENDER_NOT_VERIFIED",
            Rejection::BalanceNotEnough => "BALANCE_NOT_ENOUGH",
            Rejection::PhoneNumberNotAvailable => "PHONE_NUMBER_NOT_AVAILABLE",
            Rejection::AmountInvalid => "AMOUNT_INVALID",
        })
    }
}
