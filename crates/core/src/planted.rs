//! Deliberate faults, to prove that the simulator finds such faults. They exist only with the feature `planted-bugs`,
//! which no release has; without it none is ever planted, and the compiler drops every trace.

/// A fault that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A late confirmation after the refund makes the message delivered.
    DeliveredAfterRefund,
    /// A failed message is refunded although it was already delivered.
    RefundAfterDelivery,
    /// A wrong code is not counted once the code has been right.
    UncountedAttempt,
    /// The balance may fall to one charge below zero.
    OverdrawnByOne,
    /// A remembered answer is given, but the fee is taken again.
    ChargedTwice,
    /// Revoking a delivered message makes it undelivered.
    RevokedAfterDelivery,
    /// A code outlives its withdrawal.
    CodeOutlivesRevocation,
    /// The sixth message to a number within the window passes.
    SixthMessage,
    /// A revoked message makes no report.
    SilentRevocation,
    /// A second message goes out for one request id.
    SentTwice,
    /// A hop that may have the message hands over to the next one at once.
    BothHopsAtOnce,
    /// A message is refunded as an earlier hop fails, although another one has its turn.
    RefundDuringFallback,
    /// A channel is asked once to take a message back, and not again.
    ForgottenWithdrawal,
    /// A channel for subscribers is given messages to others.
    SentToStrangers,
}

impl Bug {
    /// Every fault there is.
    pub const ALL: [Bug; 14] = [
        Bug::DeliveredAfterRefund,
        Bug::RefundAfterDelivery,
        Bug::UncountedAttempt,
        Bug::OverdrawnByOne,
        Bug::ChargedTwice,
        Bug::RevokedAfterDelivery,
        Bug::CodeOutlivesRevocation,
        Bug::SixthMessage,
        Bug::SilentRevocation,
        Bug::SentTwice,
        Bug::BothHopsAtOnce,
        Bug::RefundDuringFallback,
        Bug::ForgottenWithdrawal,
        Bug::SentToStrangers,
    ];
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a fault on this thread, or takes it away.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.with(|planted| planted.set(bug));
}

/// Whether this fault is planted.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.with(|planted| planted.get() == Some(bug))
}

/// Whether this fault is planted: never.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is(_bug: Bug) -> bool {
    false
}
