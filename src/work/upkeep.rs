//! What has to be looked at every now and then: the wall clock, tokens, and what can be forgotten.

use crate::app::App;
use crate::engine::Chore;
use crate::store::console::movements::LowBalance;
use crate::store::console::people::CustomerId;
use crate::store::console::sessions::{self, IDLE_MAX, LOGIN_LIFE, SESSION_MAX};
use crate::store::{PurgeBefore, StoreError};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A change of a token takes effect within this long.
const TOKENS_EVERY: Duration = Duration::from_millis(250);
/// How long a look may take: a connection that is dead without knowing must not hold the next look up for good.
const LOOK_MAX: Duration = Duration::from_secs(6);
/// How many rounds of `TOKENS_EVERY` lie between two looks at the wall clock.
const CLOCK_ROUNDS: u32 = 4;
/// How many rounds lie between two signs of life to the other servers: several in the time after which they count this
/// one as gone.
const LANE_ROUNDS: u32 = 8;
/// How many rounds lie between two notes of when tokens were used.
const USES_ROUNDS: u32 = 20;
/// How much time lies between two times of forgetting.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// How much time lies between two looks at low balances.
const BALANCES_EVERY: Duration = Duration::from_secs(60);
/// How long the sandbox shows a code.
const SANDBOX_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long a channel may still say something of a message: SMS receipts come up to three days late.
const REFERENCE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Runs until told to stop; notes the last uses of tokens before it ends.
pub(super) async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut round = 0u32;
    while !*stopped.borrow() {
        read_tokens(&app).await;
        if round.is_multiple_of(CLOCK_ROUNDS) {
            app.clock.reconcile();
        }
        if round.is_multiple_of(LANE_ROUNDS) {
            keep_lane(&app).await;
        }
        if round.is_multiple_of(USES_ROUNDS) {
            note_uses(&app).await;
        }
        round = round.wrapping_add(1);
        tokio::select! {
            () = tokio::time::sleep(TOKENS_EVERY) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
    note_uses(&app).await;
}

/// Says in the log when a customer's balance has fallen below what it wants to be warned at: once each time. Apart from the
/// rest, as forgetting is.
pub(super) async fn warn(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut low = BTreeSet::new();
    while !*stopped.borrow() {
        match app.reader.low_balances().await {
            Ok(found) => low = tell(found, &low),
            Err(error) => tracing::error!(%error, "balances cannot be looked at"),
        }
        tokio::select! {
            () = tokio::time::sleep(BALANCES_EVERY) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
}

/// Tells of those balances that were not low before. Returns whose are low now.
fn tell(found: Vec<LowBalance>, before: &BTreeSet<CustomerId>) -> BTreeSet<CustomerId> {
    for LowBalance { customer, name, balance, below } in &found {
        if !before.contains(customer) {
            tracing::warn!(customer = name, %balance, %below, "a balance is running low");
        }
    }
    found.into_iter().map(|low| low.customer).collect()
}

/// Forgets until told to stop. Apart from the rest: it takes its time, and a revoked token cannot wait for it.
pub(super) async fn forget(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        purge(&app).await;
        tokio::select! {
            () = tokio::time::sleep(PURGE_EVERY) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
}

async fn read_tokens(app: &App) {
    if let Err(error) = look(app, app.tokens.refresh(&app.reader)).await {
        tracing::error!(%error, "tokens cannot be read");
    }
}

async fn keep_lane(app: &App) {
    if let Err(error) = look(app, app.reader.keep_lane()).await {
        tracing::error!(%error, "the other servers cannot be told that this one is there");
    }
}

/// Looks into the database. Being the most frequent looks, these tell whether it is there.
async fn look(app: &App, look: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
    app.readiness.look();
    let late = |_| StoreError::Unreachable("it did not answer in time".to_owned());
    tokio::time::timeout(LOOK_MAX, look).await.map_err(late)??;
    app.readiness.seen();
    Ok(())
}

async fn note_uses(app: &App) {
    let uses = app.tokens.take_uses();
    if !uses.is_empty() {
        // When a token was last used is a help to people, no promise: a lost note is no harm.
        let _ = app.engine.chore(Chore::TouchTokens(uses)).await;
    }
}

/// Forgets what is no longer needed, in slices between which the engine serves others.
pub async fn purge(app: &App) {
    let now = app.clock.now();
    let rules = &app.settings.rules;
    let chore = Chore::Purge(PurgeBefore {
        keys: now - rules.idempotency_life,
        failures: now - rules.failures_per_phone.within,
        codes: now - SANDBOX_LIFE,
        references: now - REFERENCE_LIFE,
    });
    let sessions = sessions::forget(now - IDLE_MAX, now - SESSION_MAX, now - LOGIN_LIFE);
    // What fails now is still there the next time.
    let _ = app.engine.chore(Chore::Change(sessions)).await;
    while let Ok(true) = app.engine.chore(chore.clone()).await {}
}
