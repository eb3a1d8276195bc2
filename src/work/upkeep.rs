//! What has to be looked at every now and then: the wall clock, tokens, and what can be forgotten.

use crate::app::App;
use crate::engine::Chore;
use chappe_core::Time;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A change of a token takes effect within this long.
const TOKENS_EVERY: Duration = Duration::from_millis(250);
/// How many rounds of `TOKENS_EVERY` lie between two looks at the wall clock.
const CLOCK_ROUNDS: u32 = 4;
/// How many rounds lie between two notes of when tokens were used.
const USES_ROUNDS: u32 = 20;
/// How many rounds lie between two times of forgetting.
const PURGE_ROUNDS: u32 = 4 * 600;
/// How long the sandbox shows a code.
const SANDBOX_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How far a purge reaches back beyond the one before, for messages whose worker was late.
const PURGE_OVERLAP: Duration = Duration::from_secs(2 * 3600);

/// Runs until told to stop; notes the last uses of tokens before it ends.
pub(super) async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut purged_to = Time::from_micros(0);
    let mut round = 0u32;
    while !*stopped.borrow() {
        if let Err(error) = app.tokens.refresh(&app.reader).await {
            tracing::error!(%error, "tokens cannot be read");
        }
        if round.is_multiple_of(CLOCK_ROUNDS) {
            app.clock.reconcile();
        }
        if round.is_multiple_of(USES_ROUNDS) {
            note_uses(&app).await;
        }
        if round.is_multiple_of(PURGE_ROUNDS) {
            purged_to = purge(&app, purged_to).await;
        }
        round = round.wrapping_add(1);
        tokio::select! {
            () = tokio::time::sleep(TOKENS_EVERY) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
    note_uses(&app).await;
}

async fn note_uses(app: &App) {
    let uses = app.tokens.take_uses();
    if !uses.is_empty() {
        // When a token was last used is a help to people, no promise: a lost note is no harm.
        let _ = app.engine.chore(Chore::TouchTokens(uses)).await;
    }
}

/// Forgets what is no longer needed; returns up to when codes were wiped.
pub async fn purge(app: &App, codes_from: Time) -> Time {
    let now = app.clock.now();
    let rules = &app.settings.rules;
    let codes_to = now - SANDBOX_LIFE;
    let chore = Chore::Purge {
        keys_before: now - rules.idempotency_life,
        failures_before: now - rules.failures_per_phone.within,
        codes_sent: codes_from..codes_to,
    };
    match app.engine.chore(chore).await {
        Ok(()) => codes_to - PURGE_OVERLAP,
        Err(_) => codes_from,
    }
}
