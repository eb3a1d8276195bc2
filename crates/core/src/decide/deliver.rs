//! What channels say of messages, and what time does to them.

use super::{Rules, money, report};
use crate::book::{Book, Job, Work};
use crate::command::{ChannelEvent, Outcome};
use crate::ids::RequestId;
use crate::planted::{self, Bug};
use crate::request::{Delivery, Progress, Request};
use crate::time::Time;
use crate::timeline::What;

/// Applies one thing that a channel says.
pub(super) fn hear(rules: &Rules, book: &mut Book, now: Time, id: RequestId, hop: u8, event: &ChannelEvent) {
    let Some(request) = book.change_request(id) else { return };
    let Some(channel) = request.route.get(usize::from(hop)).cloned() else { return };
    let Some(message) = &mut request.message else { return };
    let turn = hop == message.hop && message.delivery == Delivery::Sent;
    match event {
        ChannelEvent::Accepted { reference, poll_at } => {
            if matches!(message.delivery, Delivery::Expired | Delivery::Revoked) {
                // It was withdrawn while the channel was taking it over: take it back, from whichever hop has it.
                let reference = reference.clone();
                let job = job(request, now).map(|job| Job { hop, channel, reference, ..job });
                book.work.extend(job.map(Work::Withdraw));
            } else if hop == message.hop {
                let known = matches!(message.progress, Progress::Accepted(_));
                message.progress = Progress::Accepted(*poll_at);
                if reference.is_some() {
                    message.channel_reference.clone_from(reference);
                }
                if turn && !known {
                    request.log(now, What::Accepted(channel));
                    wipe_code(request);
                }
            }
        }
        ChannelEvent::Postponed { after, reason } => {
            if turn {
                // What the channel has is not handed over again: it wants to be asked later.
                message.progress = match message.progress {
                    Progress::Accepted(_) => Progress::Accepted(Some(now + *after)),
                    _ if message.is_of_use(now) => Progress::Queued(now + *after),
                    progress => progress,
                };
                request.log(now, What::Postponed(channel, reason.clone()));
            }
        }
        ChannelEvent::Uncertain { reason } => {
            if turn {
                message.progress = Progress::Uncertain;
                wipe_code(request);
            }
            request.log(now, What::Uncertain(channel, reason.clone()));
        }
        ChannelEvent::Failed { reason } => {
            request.log(now, What::Failed(channel, reason.clone()));
            if turn || planted::is(Bug::RefundAfterDelivery) {
                fall_back(rules, book, id, now);
            }
        }
        ChannelEvent::Delivered | ChannelEvent::Read => {
            let read = *event == ChannelEvent::Read;
            if message.confirm(read, rules.code_life, now) {
                // A message that was read has nothing more to tell; one that another hop delivered is not handed on.
                if read || hop != message.hop || !matches!(message.progress, Progress::Accepted(_)) {
                    message.progress = Progress::Ended;
                }
                request.log(now, if read { What::Read(channel) } else { What::Delivered(channel) });
                wipe_code(request);
                report::make(book, id, now);
            } else {
                request.log(now, What::LateConfirmation(channel));
            }
        }
    }
}

/// The current hop has failed for good: the next one has its turn, if there is one and somebody could still use the code;
/// or the message is given up and refunded.
fn fall_back(rules: &Rules, book: &mut Book, id: RequestId, now: Time) {
    let Some(mut request) = book.requests.get(&id).cloned() else { return };
    let of_use = request.message.as_ref().is_some_and(|message| message.is_of_use(now));
    if !request.has_next_hop() || !of_use {
        return expire(book, id, now);
    }
    if let Some(message) = &mut request.message {
        message.hop += 1;
        message.channel_reference = None;
    }
    request.log(now, What::Fallback(request.channel().clone()));
    lease(rules, book, &mut request, now);
    book.add_request(request);
}

/// The message did not and will not arrive: its status, the refund and the report, together.
fn expire(book: &mut Book, id: RequestId, now: Time) {
    let Some(request) = book.change_request(id) else { return };
    let job = job(request, now);
    if !request.message.as_mut().is_some_and(|message| message.expire(now)) {
        return;
    }
    request.log(now, What::Expired);
    wipe_code(request);
    money::refund(book, id, now);
    report::make(book, id, now);
    book.work.extend(job.map(Work::Withdraw));
}

pub(super) fn due(rules: &Rules, book: &mut Book, now: Time, id: RequestId, may_expire: bool) -> Outcome {
    let Some(message) = book.requests.get(&id).and_then(|request| request.message.as_ref()) else {
        return Outcome::Done;
    };
    if message.expires_at().is_some_and(|at| at <= now) {
        if may_expire {
            expire(book, id, now);
        }
        return Outcome::Done;
    }
    let Some(mut request) = book.requests.get(&id).cloned() else { return Outcome::Done };
    let channel = request.channel().clone();
    let Some(message) = &mut request.message else { return Outcome::Done };
    match message.progress {
        Progress::Queued(at) if at <= now && book.lease_room > 0 => lease(rules, book, &mut request, now),
        // Whoever held the lease is gone, and may have handed the message over just before. The sandbox does no harm
        // when it is told twice; for a real phone it stays at one.
        Progress::Leased(until) if until <= now && channel.is_sandbox() => {
            lease(rules, book, &mut request, now)
        }
        Progress::Leased(until) if until <= now => {
            message.progress = Progress::Uncertain;
            request.log(now, What::Uncertain(channel, "the hand-over was interrupted".to_owned()));
            wipe_code(&mut request);
        }
        Progress::Accepted(Some(at)) if at <= now => {
            message.progress = Progress::Accepted(Some(now + rules.lease));
            book.work.extend(job(&request, now).map(Work::Poll));
        }
        Progress::Queued(_)
        | Progress::Leased(_)
        | Progress::Accepted(_)
        | Progress::Uncertain
        | Progress::Ended => {
            return Outcome::Done;
        }
    }
    book.add_request(request);
    Outcome::Done
}

/// Gives the message to the worker beside this engine, or lets it wait for one.
pub(super) fn lease(rules: &Rules, book: &mut Book, request: &mut Request, now: Time) {
    let job = job(request, now);
    let Some(message) = &mut request.message else { return };
    if book.lease_room == 0 {
        message.progress = Progress::Queued(now);
        return;
    }
    book.lease_room -= 1;
    message.progress = Progress::Leased(now + rules.lease);
    book.work.extend(job.map(Work::Deliver));
}

pub(super) fn job(request: &Request, asked_at: Time) -> Option<Job> {
    let message = request.message.as_ref()?;
    Some(Job {
        request: request.id,
        hop: message.hop,
        channel: request.channel().clone(),
        phone: request.phone,
        code: message.code,
        sent_at: message.sent_at,
        asked_at,
        reference: message.channel_reference.clone(),
    })
}

/// Forgets a code that no channel will be asked to deliver any more. The sandbox keeps it: it is the phone.
pub(super) fn wipe_code(request: &mut Request) {
    let more_hops = request.has_next_hop();
    let sandbox = request.channel().is_sandbox();
    let Some(message) = &mut request.message else { return };
    let may_be_needed = message.delivery == Delivery::Sent && more_hops;
    if !sandbox && !may_be_needed {
        message.code = None;
    }
}
