//! The gateway channel: an upstream that speaks this very API, Telegram's own service or another Chappe.
//!
//! It is given our code, so that verification stays here, and the time that is left, so that it gives up when we do and
//! refunds by its own rules. What became of a message is told by its reports, and asked for where they do not come.

mod examine;
mod hand_over;
mod report;
mod said;
mod settings;

pub use settings::Settings;

use super::callback::Callbacks;
use super::{Errand, Lent, Said};
use chappe_client::SendMessage;
use chappe_client::wire::RequestStatus;
use chappe_core::book::Job;
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, RequestId, Time};
use std::time::Duration;

/// The least that an upstream takes as its `ttl`, in seconds.
pub const TTL_MIN_S: u64 = 30;
/// The most that an upstream takes as its `ttl`, in seconds.
const TTL_MAX_S: u64 = 3_600;
/// How much less often an upstream is asked that reports by itself, or has nothing to tell but that it was read.
const PATIENT: u32 = 10;
/// A message is asked for about every tenth of its age: often while that helps, and never for nothing.
const AGE_PER_QUESTION: u32 = 10;
/// How long after our own end an upstream has to find out that its end has come as well.
const END_MAX: Duration = Duration::from_secs(60);
/// How often it is asked meanwhile.
const END_PAUSE: Duration = Duration::from_secs(3);

/// The channel.
#[derive(Debug)]
pub struct Gateway {
    name: ChannelName,
    settings: Settings,
    callbacks: Callbacks,
}

impl Gateway {
    pub(super) fn new(name: ChannelName, settings: Settings, lent: &Lent) -> Gateway {
        Gateway { name, settings, callbacks: lent.callbacks.clone() }
    }

    pub(super) async fn carry_out(&self, errand: Errand, job: &Job) -> Said {
        match (errand, &job.reference) {
            (Errand::Deliver, _) => self.deliver(job).await,
            (Errand::Poll, Some(reference)) => self.poll(job, reference).await.into(),
            (Errand::Withdraw, Some(reference)) => self.withdraw(job, reference).await.into(),
            // What has no name cannot be asked for, only heard of.
            (Errand::Poll, None) => accepted(None, None).into(),
            (Errand::Withdraw, None) => failed("the upstream never said what it calls the message").into(),
        }
    }

    async fn deliver(&self, job: &Job) -> Said {
        let ttl_s = job.until.since(job.asked_at).as_secs().min(TTL_MAX_S);
        let Some(code) = job.code else { return failed("the code is not at hand any more").into() };
        if ttl_s < TTL_MIN_S {
            let reason = format!("too little time left: the upstream wants {TTL_MIN_S} s at least");
            return ChannelEvent::Failed { reason }.into();
        }
        let mut message = SendMessage::with_code(format!("+{}", job.phone), code.expose())
            .ttl_s(ttl_s as u32)
            .payload(name_of(job.request, job.hop));
        if self.settings.idempotent {
            // Request ids are no secret, and another house may have drawn the same: this is ours alone.
            message = message.idempotency_key(self.callbacks.path_of_hop(&self.name, job.request, job.hop));
        }
        if let Some(url) = self.callbacks.url_with(self.settings.callbacks, job) {
            message = message.callback_url(url);
        }
        let passed = job.sender.as_ref().filter(|_| self.settings.pass_sender);
        if let Some(sender) = passed.or(self.settings.sender.as_ref()) {
            message = message.sender_username(sender.as_str());
        }
        match self.hand_over(&message).await {
            Ok(status) => self.taken(job, status).into(),
            Err(error) => said::of_refused_message(&error, job).into(),
        }
    }

    /// What is said of a message that the upstream has taken, and may have got further with already.
    fn taken(&self, job: &Job, status: RequestStatus) -> Vec<ChannelEvent> {
        let far = said::of_status(&status);
        let poll_at = self.ask_again(job, &far);
        std::iter::once(accepted(Some(status.request_id), poll_at)).chain(far).collect()
    }

    async fn poll(&self, job: &Job, reference: &str) -> Vec<ChannelEvent> {
        match self.settings.client.check_verification_status(reference, None).await {
            Ok(status) => {
                let mut far = said::of_status(&status);
                far.retain(|event| !(job.delivered && *event == ChannelEvent::Delivered));
                std::iter::once(accepted(None, self.ask_again(job, &far))).chain(far).collect()
            }
            Err(error) => vec![said::of_failed_question(Errand::Poll, &error)],
        }
    }

    /// When the upstream is to be asked again of a message that it has got so far with.
    fn ask_again(&self, job: &Job, far: &[ChannelEvent]) -> Option<Time> {
        let delivered = job.delivered || far.contains(&ChannelEvent::Delivered);
        let tells = self.settings.callbacks && self.callbacks.are_open();
        let often = self.settings.poll;
        let pause = if delivered || tells { often * PATIENT } else { often };
        let pause = pause.max(job.asked_at.since(job.sent_at) / AGE_PER_QUESTION);
        let at = job.asked_at + pause;
        // That it was opened is nice to know as long as somebody may type the code.
        (!delivered || at < job.until).then_some(at)
    }

    /// Takes a message back. One whose time is over is given [`END_MAX`] to expire there as well, for what is revoked is
    /// not refunded; until then it is only asked about, since an errand has the time for two calls.
    async fn withdraw(&self, job: &Job, reference: &str) -> Vec<ChannelEvent> {
        let over = job.asked_at >= job.until;
        if over && job.asked_at.since(job.until) < END_MAX {
            return match self.settings.client.check_verification_status(reference, None).await {
                Ok(status) if said::is_under_way(&status) => vec![ChannelEvent::Busy { after: END_PAUSE }],
                Ok(status) => said::of_withdrawn(&status),
                Err(error) => vec![said::of_failed_question(Errand::Withdraw, &error)],
            };
        }
        match self.settings.client.revoke_verification_message(reference).await {
            Ok(true) => match self.settings.client.check_verification_status(reference, None).await {
                Ok(status) => said::of_withdrawn(&status),
                // It was received, and that is all there is to be known.
                Err(_) => vec![ChannelEvent::Withdrawn],
            },
            Ok(false) => vec![failed("the upstream did not take the withdrawal")],
            Err(error) => vec![said::of_failed_question(Errand::Withdraw, &error)],
        }
    }
}

/// Our name for a message: which hop of which request it is. Reports and statuses bring it back.
fn name_of(request: RequestId, hop: u8) -> String {
    format!("{request}-{hop}")
}

fn accepted(reference: Option<String>, poll_at: Option<Time>) -> ChannelEvent {
    ChannelEvent::Accepted { reference, poll_at }
}

fn failed(reason: &str) -> ChannelEvent {
    ChannelEvent::Failed { reason: reason.to_owned() }
}
