//! What channels say of messages, and what time does to them.

use super::{Rules, money, report};
use crate::book::{Book, ChannelReference, Job, Work};
use crate::command::{ChannelEvent, Outcome};
use crate::ids::RequestId;
use crate::planted::{self, Bug};
use crate::request::{Delivery, Progress, Request};
use crate::text::ChannelName;
use crate::time::Time;
use crate::timeline::What;
use std::time::Duration;

/// The longest name of a message, in bytes, that is kept: several times what providers give. A database could not look
/// for one that is much longer, and a batch that holds it would come to nothing.
const REFERENCE_MAX: usize = 255;

/// How long after it was sent a message is still worth taking back: Telegram, the first channel that can, allows two days.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(48 * 3600);

/// Whether a hop of a request is this channel's. Ids of requests are no secret from channels, and what one says of another's
/// message is none of its business.
pub(super) fn is_hop_of(book: &Book, id: RequestId, hop: u8, channel: &ChannelName) -> bool {
    let hop = book.requests.get(&id).and_then(|request| request.route.get(usize::from(hop)));
    hop.is_some_and(|hop| hop.channel == *channel)
}

/// Applies one thing that a channel says.
pub(super) fn hear(rules: &Rules, book: &mut Book, now: Time, id: RequestId, hop: u8, event: &ChannelEvent) {
    let Some(request) = book.change_request(id) else { return };
    let Some(channel) = request.route.get(usize::from(hop)).map(|hop| hop.channel.clone()) else { return };
    let Some(message) = &mut request.message else { return };
    let turn = hop == message.hop && message.delivery == Delivery::Sent;
    match event {
        ChannelEvent::Accepted { reference, poll_at } => {
            let is_name = |name: &&str| name.len() <= REFERENCE_MAX && !name.contains(char::is_control);
            accepted(rules, book, now, id, hop, reference.as_deref().filter(is_name), *poll_at);
        }
        ChannelEvent::Busy { after } => {
            if hop == message.hop {
                message.put_off(now + *after, now);
            }
        }
        ChannelEvent::Postponed { after, reason } => {
            if hop == message.hop && message.put_off(now + *after, now) {
                request.log(now, What::Postponed(channel, reason.clone()));
            }
        }
        ChannelEvent::Unavailable { after, reason } => {
            // What it has not taken yet need not wait for it.
            let untaken = matches!(message.progress, Progress::Queued(_) | Progress::Leased(_));
            if turn && untaken && request.may_fall_back(now) {
                request.log(now, What::Failed(channel, reason.clone()));
                fall_back(rules, book, id, now);
            } else if let Some(message) = &mut request.message
                && hop == message.hop
                && message.put_off(now + *after, now)
            {
                request.log(now, What::Postponed(channel, reason.clone()));
            }
        }
        ChannelEvent::Uncertain { reason } => {
            if turn {
                message.progress = Progress::Uncertain;
                message.open_hop(hop);
                wipe_code(request);
            }
            request.log(now, What::Uncertain(channel, reason.clone()));
            if turn && planted::is(Bug::BothHopsAtOnce) && request.may_fall_back(now) {
                fall_back(rules, book, id, now);
            }
        }
        ChannelEvent::Failed { reason } => {
            if hop == message.hop && matches!(message.progress, Progress::Withdrawing(_)) {
                message.progress = Progress::Ended;
            }
            if turn {
                // What it cannot deliver is nowhere: there is nothing that it could take back.
                message.channel_reference = None;
            }
            let was_open = message.close_hop(hop);
            // The hop that has its turn may have failed before, and only this one was waited for.
            let last_hope = was_open && message.open_hops == 0 && message.progress == Progress::Uncertain;
            let over = planted::is(Bug::RefundDuringFallback) && hop < message.hop;
            request.log(now, What::Failed(channel, reason.clone()));
            if over || (last_hope && !turn) {
                expire(rules, book, id, now);
            } else if turn || planted::is(Bug::RefundAfterDelivery) {
                fall_back(rules, book, id, now);
            }
        }
        ChannelEvent::Delivered | ChannelEvent::Read => {
            confirmed(rules, book, now, id, hop, *event == ChannelEvent::Read);
        }
        ChannelEvent::Withdrawn => {
            if hop == message.hop && matches!(message.progress, Progress::Withdrawing(_)) {
                message.progress = Progress::Ended;
            }
            request.log(now, What::Withdrawn(channel));
        }
    }
}

/// A channel took the message over.
fn accepted(
    rules: &Rules,
    book: &mut Book,
    now: Time,
    id: RequestId,
    hop: u8,
    reference: Option<&str>,
    poll_at: Option<Time>,
) {
    let Some(request) = book.change_request(id) else { return };
    let Some(channel) = request.route.get(usize::from(hop)).map(|hop| hop.channel.clone()) else { return };
    let Some(message) = &mut request.message else { return };
    let current = hop == message.hop;
    if hop < message.hop {
        // It has it after all, and may deliver it.
        message.open_hop(hop);
    }
    if let (true, Some(reference)) = (current, reference) {
        message.channel_reference = Some(reference.to_owned());
    }
    if !current {
        request.log(now, What::Accepted(channel.clone()));
    }
    let mut withdraw = None;
    let Some(message) = &mut request.message else { return };
    if matches!(message.delivery, Delivery::Expired | Delivery::Revoked) {
        // It was withdrawn while the channel was taking it over: take it back, from whichever hop has it.
        if current {
            withdraw = take_back(rules, request, now);
        } else if let (Some(reference), false) = (reference, channel.is_sandbox()) {
            let reference = Some(reference.to_owned());
            withdraw = job(request, now).map(|job| Job { hop, channel: channel.clone(), reference, ..job });
        }
    } else if current && !matches!(message.progress, Progress::Withdrawing(_)) {
        let first = message.delivery == Delivery::Sent && !matches!(message.progress, Progress::Accepted(_));
        message.progress = Progress::Accepted(poll_at);
        if first {
            request.log(now, What::Accepted(channel.clone()));
            wipe_code(request);
        }
    }
    book.work.extend(withdraw.map(Work::Withdraw));
    if let (Some(reference), false) = (reference, channel.is_sandbox()) {
        let reference = reference.to_owned();
        book.add_channel_reference(ChannelReference { channel, reference, request: id, hop, at: now });
    }
}

/// A channel says that the message is on the phone, or was opened there.
fn confirmed(rules: &Rules, book: &mut Book, now: Time, id: RequestId, hop: u8, read: bool) {
    let Some(request) = book.change_request(id) else { return };
    let Some(channel) = request.route.get(usize::from(hop)).map(|hop| hop.channel.clone()) else { return };
    let Some(message) = &mut request.message else { return };
    if !message.confirm(read, rules.code_life, now) {
        request.log(now, What::LateConfirmation(channel));
        return;
    }
    if matches!(message.progress, Progress::Withdrawing(_)) {
        // It was opened before it could be taken back, here or where another hop had brought it; it still is to be.
    } else if hop != message.hop {
        // An earlier hop was faster after all: the one that has its turn is done with, and this one it was.
        message.hop = hop;
        message.channel_reference = None;
        message.progress = Progress::Ended;
    } else if read || !matches!(message.progress, Progress::Accepted(_)) {
        // A message that was read has nothing more to tell.
        message.progress = Progress::Ended;
    }
    message.hop_until = None;
    request.log(now, if read { What::Read(channel) } else { What::Delivered(channel) });
    wipe_code(request);
    report::make(book, id, now);
}

/// The current hop has failed for good, or had its time: the next one has its turn, if there is one and somebody could
/// still use the code; or the message is given up and refunded, unless another hop may still deliver it.
fn fall_back(rules: &Rules, book: &mut Book, id: RequestId, now: Time) {
    let Some(mut request) = book.requests.get(&id).cloned() else { return };
    if !request.may_fall_back(now) {
        if request.message.as_ref().is_some_and(|message| message.open_hops == 0) {
            return expire(rules, book, id, now);
        }
        return wait_for_others(book, id);
    }
    if let Some(message) = &mut request.message {
        message.hop += 1;
        message.channel_reference = None;
    }
    request.start_hop(now);
    request.log(now, What::Fallback(request.channel().clone()));
    lease(rules, book, &mut request, now);
    book.add_request(request);
}

/// Nobody is handed the message any more, but an earlier hop may still deliver it: until that one says more, or the
/// message's time is over, it is uncertain what becomes of it.
fn wait_for_others(book: &mut Book, id: RequestId) {
    let Some(request) = book.change_request(id) else { return };
    let on_phone = request.channel().is_sandbox();
    let Some(message) = &mut request.message else { return };
    message.progress = Progress::Uncertain;
    message.hop_until = None;
    if !on_phone {
        message.code = None;
    }
}

/// The message did not and will not arrive: its status, the refund and the report, together.
fn expire(rules: &Rules, book: &mut Book, id: RequestId, now: Time) {
    let Some(request) = book.change_request(id) else { return };
    if !request.message.as_mut().is_some_and(|message| message.expire(now)) {
        return;
    }
    request.log(now, What::Expired);
    wipe_code(request);
    let withdraw = take_back(rules, request, now);
    book.work.extend(withdraw.map(Work::Withdraw));
    money::refund(book, id, now);
    report::make(book, id, now);
}

/// Asks the channel to take a message back that it has; one that it has no name for it cannot find again.
pub(super) fn take_back(rules: &Rules, request: &mut Request, now: Time) -> Option<Job> {
    let on_phone = request.channel().is_sandbox();
    let job = job(request, now);
    let message = request.message.as_mut()?;
    if on_phone || message.channel_reference.is_none() {
        return None;
    }
    message.progress = Progress::Withdrawing(now + rules.lease);
    job
}

pub(super) fn due(rules: &Rules, book: &mut Book, now: Time, id: RequestId, may_expire: bool) -> Outcome {
    let Some(message) = book.requests.get(&id).and_then(|request| request.message.as_ref()) else {
        return Outcome::Done;
    };
    if message.expires_at().is_some_and(|at| at <= now) {
        if may_expire {
            expire(rules, book, id, now);
        }
        return Outcome::Done;
    }
    let hop_is_over = message.delivery == Delivery::Sent && message.hop_until.is_some_and(|at| at <= now);
    // As long as the clock is not trusted, the hop goes on with what it has.
    if hop_is_over && may_expire {
        next_hop(rules, book, id, now);
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
            message.open_hop(message.hop);
            request.log(now, What::Uncertain(channel, "the hand-over was interrupted".to_owned()));
            wipe_code(&mut request);
        }
        Progress::Accepted(Some(at)) if at <= now => {
            message.progress = Progress::Accepted(Some(now + rules.lease));
            book.work.extend(job(&request, now).map(Work::Poll));
        }
        Progress::Withdrawing(at) if at <= now => {
            let in_vain =
                now.since(message.sent_at) > WITHDRAW_WITHIN || planted::is(Bug::ForgottenWithdrawal);
            message.progress =
                if in_vain { Progress::Ended } else { Progress::Withdrawing(now + rules.lease) };
            if !in_vain {
                book.work.extend(job(&request, now).map(Work::Withdraw));
            }
        }
        Progress::Queued(_)
        | Progress::Leased(_)
        | Progress::Accepted(_)
        | Progress::Withdrawing(_)
        | Progress::Uncertain
        | Progress::Ended => {
            return Outcome::Done;
        }
    }
    book.add_request(request);
    Outcome::Done
}

/// A hop's time is over, and it has not confirmed delivery.
fn next_hop(rules: &Rules, book: &mut Book, id: RequestId, now: Time) {
    let Some(request) = book.change_request(id) else { return };
    let channel = request.channel().clone();
    let may_fall_back = request.may_fall_back(now);
    let Some(message) = &mut request.message else { return };
    message.hop_until = None;
    if may_fall_back {
        // What still waits here, the channel does not have.
        if !matches!(message.progress, Progress::Queued(_)) {
            message.open_hop(message.hop);
        }
        request.log(now, What::Unconfirmed(channel));
        fall_back(rules, book, id, now);
    }
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
        account: request.account,
        phone: request.phone,
        sender: message.sender.clone(),
        code: message.code,
        sent_at: message.sent_at,
        until: message.hand_over_until(),
        asked_at,
        reference: message.channel_reference.clone(),
        delivered: matches!(message.delivery, Delivery::Delivered | Delivery::Read),
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
