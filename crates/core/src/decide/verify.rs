//! Judging codes, and withdrawing messages.

use super::{Rules, account, deliver, own_request, report, request_outcome, view};
use crate::book::{Book, Work};
use crate::command::{Caller, Entered, Outcome, Rejection, View};
use crate::ids::RequestId;
use crate::phone::Magic;
use crate::planted::{self, Bug};
use crate::request::{JudgeRules, Verification};
use crate::time::Time;
use crate::timeline::What;

pub(super) fn check_status(
    rules: &Rules,
    book: &mut Book,
    caller: Caller,
    now: Time,
    id: RequestId,
    entered: Option<&Entered>,
) -> Result<Outcome, Rejection> {
    let request = own_request(book, caller, id)?;
    if book.is_new(id) {
        // Made in this very batch: nobody was told its id yet, so it was guessed. Nor are its number's failures loaded.
        return Err(Rejection::RequestIdInvalid);
    }
    let Some(entered) = entered else { return Ok(request_outcome(view(request, now))) };
    let single_use = account(book, caller)?.single_use;

    let Some(message) = &request.message else {
        // Nothing was sent under this id, so no code can be right; nothing is guessed at either.
        let verification = Some((Verification::Invalid, now));
        return Ok(request_outcome(View {
            verification,
            code_entered: Some(entered.text.clone()),
            ..view(request, now)
        }));
    };
    let magic = request.phone.magic();
    let failures = book.failures.get(&(caller.account, request.phone));
    let too_many = magic.is_none()
        && failures.is_some_and(|window| window.check(rules.failures_per_phone, now).is_err());
    let locked = magic == Some(Magic::Locked) || too_many;
    let judge_rules = JudgeRules { attempts_max: rules.attempts_max, locked, single_use };
    let verdict = message.judge(entered.mac, judge_rules, now);
    record_verdict(rules, book, id, verdict, now);

    let request = own_request(book, caller, id)?;
    let view =
        View { verification: Some(verdict), code_entered: Some(entered.text.clone()), ..view(request, now) };
    Ok(request_outcome(view))
}

/// Writes a verdict down, as far as it says anything new.
fn record_verdict(
    rules: &Rules,
    book: &mut Book,
    id: RequestId,
    (verdict, _): (Verification, Time),
    now: Time,
) {
    let Some(message) = book.requests.get(&id).and_then(|request| request.message.as_ref()) else { return };
    let last = message.last_check.map(|(verdict, _)| verdict);
    let news = match verdict {
        Verification::Valid => message.verified_at.is_none(),
        Verification::Invalid => !(planted::is(Bug::UncountedAttempt) && message.verified_at.is_some()),
        Verification::MaxAttemptsExceeded => last != Some(verdict),
        // The end of a code's life is a moment, not an event: whoever asks later computes it.
        Verification::Expired => false,
    };
    if !news {
        return;
    }
    let Some(request) = book.change_request(id) else { return };
    let Some(message) = &mut request.message else { return };
    message.last_check = Some((verdict, now));
    let what = match verdict {
        Verification::Valid => {
            message.verified_at = Some(now);
            What::Verified
        }
        Verification::Invalid => {
            message.attempts = message.attempts.saturating_add(1);
            What::WrongCode(message.attempts)
        }
        Verification::MaxAttemptsExceeded | Verification::Expired => What::AttemptsExceeded,
    };
    let (account, phone) = (request.account, request.phone);
    request.log(now, what);
    if verdict == Verification::Invalid && phone.magic().is_none() {
        book.change_failures(account, phone).record(rules.failures_per_phone, now);
    }
}

pub(super) fn revoke(
    rules: &Rules,
    book: &mut Book,
    caller: Caller,
    now: Time,
    id: RequestId,
) -> Result<Outcome, Rejection> {
    let request = own_request(book, caller, id)?;
    if request.message.as_ref().is_none_or(|message| message.is_over(now)) {
        // Nothing was sent, or it was revoked before, or its time has come: neither the row nor the channel has
        // anything to learn from it.
        return Ok(Outcome::Revoked);
    }
    let Some(request) = book.change_request(id) else { return Ok(Outcome::Revoked) };
    let Some(message) = &mut request.message else { return Ok(Outcome::Revoked) };
    let withdrawn = message.revoke(now);
    request.log(now, What::Revoked);
    let withdraw = deliver::take_back(rules, request, now);
    book.work.extend(withdraw.map(Work::Withdraw));
    let Some(request) = book.change_request(id) else { return Ok(Outcome::Revoked) };
    if withdrawn {
        deliver::wipe_code(request);
        if !planted::is(Bug::SilentRevocation) {
            report::make(book, id, now);
        }
    }
    Ok(Outcome::Revoked)
}
