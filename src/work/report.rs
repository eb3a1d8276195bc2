//! Sending reports: signed, in order for each request, and bounded for each receiver and each account, so that a bad
//! receiver keeps its own reports waiting and nobody else's.

use super::{BATCH, sleep};
use crate::app::App;
use crate::store::{Busy, DueReport, StoreError};
use crate::wire;
use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use chappe_core::command::ReportJob;
use chappe_core::report::{Attempt, JITTER_MAX_PERMILLE, signature, standard_webhooks_mac};
use chappe_core::{Command, Outcome, ReportId, Time};
use http_body_util::{BodyExt, Full, Limited};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one attempt may take, from the look-up of the name to the answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// How many attempts may be under way at once, over all receivers.
const UNDER_WAY_MAX: usize = 2_048;
/// How many attempts may be under way at once to one receiver.
const PER_RECEIVER_MAX: usize = 8;
/// How many attempts may be under way at once for one account, however many receivers it names.
const PER_ACCOUNT_MAX: usize = UNDER_WAY_MAX / 8;
/// How long the body of an answer may take. What it says does not matter.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// How much of an answer's body is read, so that its connection can be used again. More than that is cut off.
const ANSWER_MAX_BYTES: usize = 4 * 1024;

type Concluded = (DueReport, Attempt, Duration);

/// How many attempts are under way, by receiver and by account.
#[derive(Debug, Default)]
struct UnderWay {
    receivers: HashMap<String, usize>,
    accounts: HashMap<i64, usize>,
}

impl UnderWay {
    /// Takes a place for an attempt, if its receiver and its account may have one more.
    fn take(&mut self, due: &DueReport) -> bool {
        let receiver = self.receivers.entry(due.receiver.clone()).or_default();
        let account = self.accounts.entry(due.account.0).or_default();
        let free = *receiver < PER_RECEIVER_MAX && *account < PER_ACCOUNT_MAX;
        if free {
            *receiver += 1;
            *account += 1;
        }
        free
    }

    /// Gives a place back.
    fn release(&mut self, due: &DueReport) {
        if let Some(count) = self.receivers.get_mut(&due.receiver) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.accounts.get_mut(&due.account.0) {
            *count = count.saturating_sub(1);
        }
        self.receivers.retain(|_, count| *count > 0);
        self.accounts.retain(|_, count| *count > 0);
    }

    fn busy(&self) -> Busy {
        let receivers = self.receivers.iter().filter(|(_, count)| **count >= PER_RECEIVER_MAX);
        let accounts = self.accounts.iter().filter(|(_, count)| **count >= PER_ACCOUNT_MAX);
        Busy {
            receivers: receivers.map(|(receiver, _)| receiver.clone()).collect(),
            accounts: accounts.map(|(account, _)| *account).collect(),
        }
    }
}

/// Runs until told to stop. Attempts under way then are cut off, and come again at the next start.
pub(super) async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut attempts: JoinSet<Concluded> = JoinSet::new();
    let mut under_way = UnderWay::default();
    while !*stopped.borrow() {
        app.wakes.reports.take();
        let now = app.clock.now();
        let free = UNDER_WAY_MAX.saturating_sub(attempts.len()).min(BATCH);
        let claimed = claim(&app, now, &mut under_way, free).await.unwrap_or_else(|error| {
            tracing::error!(%error, "due reports cannot be read");
            Vec::new()
        });
        // Some were taken, so others may be due behind those of a receiver that is busy now.
        let next =
            if claimed.is_empty() { app.reader.next_due_report(now).await.ok().flatten() } else { Some(now) };
        for (due, job) in claimed {
            let app = app.clone();
            attempts.spawn(async move {
                let begun = Instant::now();
                let attempt = attempt(&app, &job).await;
                (due, attempt, begun.elapsed())
            });
        }
        tokio::select! {
            Some(concluded) = attempts.join_next() => {
                let mut concluded: Vec<Concluded> = concluded.into_iter().collect();
                while let Some(also) = attempts.try_join_next() {
                    concluded.extend(also);
                }
                concluded.iter().for_each(|(due, ..)| under_way.release(due));
                let concluded = concluded.into_iter().map(|(due, attempt, took)| (due.id, attempt, took));
                conclude(&app, concluded.collect()).await;
            }
            () = sleep(&app, &app.wakes.reports, next, &mut stopped) => {}
        }
    }
}

/// Takes due reports for one attempt each, no more than a receiver and an account may have under way.
async fn claim(
    app: &App,
    now: Time,
    under_way: &mut UnderWay,
    free: usize,
) -> Result<Vec<(DueReport, ReportJob)>, StoreError> {
    let mut wanted = due(app, now, &under_way.busy(), free).await?;
    wanted.retain(|due| under_way.take(due));
    let jobs = lease(app, now, wanted.iter().map(|due| due.id).collect()).await;
    let mut claimed = Vec::new();
    for (due, job) in wanted.into_iter().zip(jobs) {
        match job {
            Some(job) => claimed.push((due, job)),
            None => under_way.release(&due),
        }
    }
    Ok(claimed)
}

/// Reports that are due and not of those that are busy.
pub async fn due(app: &App, now: Time, busy: &Busy, limit: usize) -> Result<Vec<DueReport>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    app.reader.due_reports(now, busy, limit).await
}

/// Leases reports: a job each, or `None` for those that somebody else has.
pub async fn lease(app: &App, now: Time, reports: Vec<ReportId>) -> Vec<Option<ReportJob>> {
    let count = reports.len();
    if count == 0 {
        return Vec::new();
    }
    let commands = reports.into_iter().map(|report| Command::ClaimReport { now, report }).collect();
    let Ok(outcomes) = app.engine.apply(commands).await else { return vec![None; count] };
    let job = |outcome| match outcome {
        Ok(Outcome::Report(job)) => Some(*job),
        _ => None,
    };
    outcomes.into_iter().map(job).collect()
}

/// Writes down what attempts came to and how long each took, no more of it at once than a batch of the engine expects.
pub async fn conclude(app: &App, concluded: Vec<(ReportId, Attempt, Duration)>) {
    let now = app.clock.now();
    let command = |(report, attempt, took)| {
        let jitter_permille = app.random.below(u32::from(JITTER_MAX_PERMILLE) + 1).unwrap_or(0) as u16;
        Command::ConcludeReport { now, report, attempt, took, jitter_permille }
    };
    let mut commands = concluded.into_iter().map(command).peekable();
    while commands.peek().is_some() {
        // What cannot be written down is leased until the lease lapses, and sent again then: at least once.
        if app.engine.apply(commands.by_ref().take(BATCH).collect()).await.is_err() {
            tracing::error!("what became of reports could not be written down");
        }
    }
}

/// The body of a report: a bare RequestStatus.
pub fn body(job: &ReportJob) -> Vec<u8> {
    // Plain data with text keys: cannot fail.
    serde_json::to_vec(&wire::request_status(&job.view)).unwrap_or_default()
}

/// Sends a report once.
async fn attempt(app: &App, job: &ReportJob) -> Attempt {
    let sent = tokio::time::timeout(ATTEMPT_MAX, post(app, job)).await;
    match sent {
        Ok(Ok(StatusCode::OK)) => Attempt::Acknowledged,
        Ok(Ok(status)) => Attempt::Failed(status.as_u16().to_string()),
        Ok(Err(reason)) => Attempt::Failed(reason),
        Err(_) => Attempt::Failed("no answer within 10 s".to_owned()),
    }
}

async fn post(app: &App, job: &ReportJob) -> Result<StatusCode, String> {
    let token = app.tokens.by_id(job.report.token).ok_or("its token is gone")?;
    let body = body(job);
    let timestamp = app.clock.now().secs();
    let webhook_id = format!("{}-{}", job.report.id.request, job.report.id.seq);
    let standard = standard_webhooks_mac(&token.text, &webhook_id, timestamp, &body);
    let request = Request::post(job.callback_url.as_ref())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("chappe/", env!("CARGO_PKG_VERSION")))
        .header("X-Request-Timestamp", timestamp)
        .header("X-Request-Signature", signature(&token.text, timestamp, &body))
        .header("webhook-id", webhook_id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1,{}", base64(&standard)))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let response = app.outbound.send(request).await?;
    let status = response.status();
    // Read a short answer to the end, so that the connection can serve again; whatever it says does not matter.
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect();
    let _ = tokio::time::timeout(DRAIN_MAX, body).await;
    Ok(status)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
