//! The application: the only place where anything is constructed.

use crate::channels::callback::Callbacks;
use crate::channels::inbox::{self, Inbox, Letter};
use crate::channels::route::Routes;
use crate::channels::text::Texts;
use crate::channels::{ChannelSettings, Channels, Lent};
use crate::engine::{Batches, Engine, Outlets};
use crate::env::{Clock, Random};
use crate::funding::{Funding, FundingSettings};
use crate::net::address::TrustedProxies;
use crate::net::outbound::{Outbound, OutboundPolicy};
use crate::oidc::{self, Oidc};
use crate::readiness::Readiness;
use crate::store::{Reader, Store, StoreError};
use crate::tokens::Tokens;
use crate::vault::Vault;
use crate::work::wake::Wakes;
use chappe_core::text::ChannelName;
use chappe_core::{AccountId, Hop, RequestId, Rules, Time, Work};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

/// How many messages may wait in memory for the delivery worker; more wait as rows.
const WORK_QUEUE: usize = 8_192;
/// How many changes a live page may lag behind before it is told to read everything anew.
const CHANGES_BUFFER: usize = 1_024;

/// What the operator may set of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The rules.
    pub rules: Rules,
    /// Where live messages go.
    pub routes: Routes,
    /// The channels that they can go through, beside the sandbox.
    pub channels: BTreeMap<ChannelName, ChannelSettings>,
    /// The texts of messages.
    pub texts: Arc<Texts>,
    /// Under which address providers reach this server to call back, without a slash at its end.
    pub public_url: Option<String>,
    /// How many callers may wait for the engine.
    pub queue_max: usize,
    /// Which peers may say whom they speak for.
    pub trusted_proxies: TrustedProxies,
    /// Whether callers are served only through those: without TLS of its own, a server must not be spoken to directly.
    pub proxies_only: bool,
    /// Where reports may go.
    pub outbound: OutboundPolicy,
    /// Whether messages reach the sandbox by the delivery worker, as they would reach a channel outside: for simulation.
    pub sandbox_by_worker: bool,
    /// The console.
    pub console: ConsoleSettings,
    /// Adding funds.
    pub funding: FundingSettings,
    /// Whether this is `chappe dev`: the sandbox is open to everybody and its clock can be moved.
    pub dev: bool,
}

/// What the operator may set of the console.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    /// Whether everybody with a number may open an account.
    pub sign_up: bool,
    /// Who says who people are, beside a code.
    pub oidc: Option<oidc::Settings>,
}

impl Settings {
    /// Whether a hop has less time than its channel takes a message for: then it fails at once.
    pub fn is_too_short(&self, hop: &Hop) -> bool {
        let channel = self.channels.get(&hop.channel);
        let shortest = channel.map(ChannelSettings::shortest_hop).unwrap_or_default();
        hop.wait.is_some_and(|wait| wait < shortest)
    }

    /// When the hop after `hop` gets its turn at the latest, if that one gets it at `turn` at the latest, from the sending
    /// on. `None` if that depends on a hop without a wait.
    pub fn turn_after(&self, hop: &Hop, turn: Option<Duration>) -> Option<Duration> {
        if self.is_too_short(hop) { turn } else { Some(turn? + hop.wait?) }
    }
}

/// Everything that handlers and workers use.
#[derive(Debug)]
pub struct App {
    /// What the operator set.
    pub settings: Settings,
    /// The clock.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Keys.
    pub vault: Vault,
    /// Reads of workers, beside the engine.
    pub reader: Reader,
    /// Reads of pages, so that a person's question never keeps a worker waiting.
    pub pages: Reader,
    /// Where commands go.
    pub engine: Engine,
    /// The channels.
    pub channels: Channels,
    /// Where channels put what they hear by themselves.
    letters: mpsc::Sender<Letter>,
    /// The tokens that are good.
    pub tokens: Tokens,
    /// Where reports go out.
    pub outbound: Outbound,
    /// How customers pay.
    pub funding: Funding,
    /// Logging in by what an issuer says, if there is one.
    pub oidc: Option<Oidc>,
    /// Wakes of the workers.
    pub wakes: Wakes,
    /// Accounts of which something changed, for pages that are live; and the request, if it was one.
    pub changed: broadcast::Sender<(AccountId, Option<RequestId>)>,
    /// Tells live pages that the sandbox was cleared or its clock moved.
    pub sandbox_news: broadcast::Sender<SandboxNews>,
    /// Becomes true when the server stops: connections that are open for good must end then.
    pub stopping: watch::Sender<bool>,
    /// Whether a load balancer should send calls here.
    pub readiness: Readiness,
    /// The lane of this server's request ids.
    lane: u8,
    last_id: AtomicI64,
}

/// What happens to the sandbox as a whole.
#[derive(Clone, Copy, Debug)]
pub enum SandboxNews {
    /// Its inbox was emptied: an account's, or everybody's.
    Cleared(Option<AccountId>),
    /// Its clock was moved to this moment.
    Clock(Time),
}

/// What has to be run for an [`App`] to live.
#[derive(Debug)]
pub struct Engines {
    /// The batch loop.
    pub batches: Batches,
    /// What the delivery worker is given to do.
    pub work: mpsc::Receiver<Work>,
    /// What channels hear by themselves.
    pub letters: mpsc::Receiver<Letter>,
}

impl App {
    /// Builds everything over an open store, and becomes its server.
    pub async fn build(
        mut store: Store,
        settings: Settings,
        vault: Vault,
        clock: Clock,
        random: Random,
    ) -> Result<(Arc<App>, Engines), StoreError> {
        store.start_serving(clock.now(), settings.rules.sends_per_phone.within).await?;
        let (reader, pages) = (store.reader()?, store.reader()?);
        let (lane, last_id) = (store.lane(), store.last_request().await?);
        if let (true, Some(last_id)) = (settings.dev, last_id) {
            // The sandbox's clock was moved in an earlier life: it goes on from there, for time never goes back.
            clock.reach(last_id.drawn_at());
        }
        let (work, work_queue) = mpsc::channel(WORK_QUEUE);
        let (changed, _) = broadcast::channel(CHANGES_BUFFER);
        let (sandbox_news, _) = broadcast::channel(CHANGES_BUFFER);
        let wakes = Wakes::default();
        let inside = match settings.sandbox_by_worker {
            true => |_: &_| None,
            false => Channels::inside,
        };
        let outlets = Outlets { work, wakes: wakes.clone(), changed: changed.clone(), inside };
        let (engine, batches) = Batches::new(store, settings.rules.clone(), outlets, settings.queue_max)?;
        let (letters, letter_queue) = inbox::slot();
        let tokens = Tokens::read(&reader).await?;
        let lent = lend(&settings, &vault, &clock, &random);
        let oidc = settings.console.oidc.clone();
        let oidc = oidc.map(|oidc| Oidc::new(oidc, vault.login_sealer(), clock.clone(), random.clone()));
        let app = App {
            channels: Channels::new(settings.routes.clone(), settings.channels.clone(), &lent),
            outbound: Outbound::new(settings.outbound),
            funding: Funding::new(&settings.funding),
            oidc,
            settings,
            clock,
            random,
            vault,
            reader,
            pages,
            engine,
            letters,
            tokens,
            wakes,
            changed,
            sandbox_news,
            stopping: watch::Sender::new(false),
            readiness: Readiness::default(),
            lane,
            last_id: AtomicI64::new(last_id.map_or(0, RequestId::number)),
        };
        Ok((Arc::new(app), Engines { batches, work: work_queue, letters: letter_queue }))
    }

    /// Tells live pages that something of an account changed that is no request, such as its balance by a payment.
    pub fn tell_pages(&self, account: AccountId) {
        // Nobody is looking: fine.
        let _ = self.changed.send((account, None));
    }

    /// Where a channel puts what it hears by itself.
    pub fn inbox(&self, channel: ChannelName) -> Inbox {
        Inbox::new(channel, self.letters.clone())
    }

    /// Draws the next request id.
    pub fn next_request_id(&self, now: Time) -> RequestId {
        let mut last = self.last_id.load(Ordering::Relaxed);
        loop {
            let next = RequestId::next(now, self.lane, RequestId::from_number(last));
            match self.last_id.compare_exchange_weak(
                last,
                next.number(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return next,
                Err(newer) => last = newer,
            }
        }
    }
}

/// What the house lends its channels.
pub fn lend(settings: &Settings, vault: &Vault, clock: &Clock, random: &Random) -> Lent {
    Lent {
        texts: settings.texts.clone(),
        callbacks: Callbacks::new(settings.public_url.clone(), vault.callback_key()),
        clock: clock.clone(),
        random: random.clone(),
        code_life: settings.rules.code_life,
        button_sealer: vault.button_sealer(),
    }
}
