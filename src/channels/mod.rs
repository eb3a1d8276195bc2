//! Channels: how a code reaches a person. A channel never sees the database: it is handed a message, and says what
//! became of it.

pub mod callback;
pub mod finding;
pub mod gate;
pub mod gateway;
pub mod http;
pub mod inbox;
pub mod route;
pub mod sandbox;
#[cfg(feature = "simulation")]
pub mod scripted;
pub mod smpp;
pub mod telegram;
pub mod text;

use crate::env::{Clock, Random};
use crate::vault::Sealer;
use callback::{Answer, Callbacks, Incoming};
use chappe_core::book::Job;
use chappe_core::route::{Reach, Route};
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Hop, Mode, Phone, Time};
use finding::Finding;
use gate::{Gate, Pace};
use inbox::Inbox;
use route::{Line, Routes};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use telegram::Telegram;
use text::Texts;
use tokio::sync::watch;

/// The longest that a channel may take over one errand: well within a lease, so that nobody else takes the message for
/// abandoned meanwhile. Every channel gives up earlier by itself, and then says more.
pub const ERRAND_MAX: Duration = Duration::from_secs(20);

/// What the operator set of one channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ChannelSettings {
    /// An upstream that speaks this very API.
    Gateway(Box<gateway::Settings>),
    /// A provider with an HTTP API.
    Http(Box<http::Settings>),
    /// An SMS centre that speaks SMPP.
    Smpp(Box<smpp::SmppSettings>),
    /// A bot on Telegram.
    Telegram(Box<telegram::Settings>),
    /// One that says what a test tells it to.
    #[cfg(feature = "simulation")]
    #[serde(skip)]
    Scripted(scripted::Scripted),
}

/// How a channel words its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wording<'s> {
    /// The language of all of them; empty: each in the language of its number or of who reads it.
    pub language: &'s str,
    /// The domain whose pages may fill codes in.
    pub webotp: Option<&'s str>,
}

/// What the house lends its channels.
#[derive(Clone, Debug)]
pub struct Lent {
    /// The texts of messages.
    pub texts: Arc<Texts>,
    /// Where providers are told to call back.
    pub callbacks: Callbacks,
    /// Randomness, for what must not happen everywhere at once.
    pub random: Random,
    /// The clock.
    pub clock: Clock,
    /// How long a code is good for.
    pub code_life: Duration,
    /// The key for what stands behind the buttons of messages.
    pub button_sealer: Sealer,
}

/// The channels there are, and which numbers go through which.
#[derive(Debug)]
pub struct Channels {
    /// Where live messages go. Test messages always go to the sandbox.
    live: Routes,
    outside: BTreeMap<ChannelName, Outside>,
}

/// A channel with a wire to the world.
#[derive(Debug)]
pub struct Outside {
    channel: Channel,
    gate: Arc<Gate>,
}

#[derive(Debug)]
enum Channel {
    Gateway(Box<gateway::Gateway>),
    Http(Box<http::Http>),
    Smpp(Box<smpp::Smpp>),
    Telegram(Box<Telegram>),
    #[cfg(feature = "simulation")]
    Scripted(scripted::Scripted),
}

/// What a channel is asked to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Hand it over.
    Deliver,
    /// Say what became of it.
    Poll,
    /// Take it back.
    Withdraw,
}

/// Whom a channel that serves subscribers alone writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// Their chat.
    pub chat_id: i64,
    /// Their language as the channel says it, such as `pt-br`; empty if it is not known.
    pub language: String,
}

/// What a channel says to an errand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What became of the message, in order.
    pub events: Vec<ChannelEvent>,
    /// Whether the subscriber does not want to hear from the channel any more.
    pub blocked: bool,
}

impl From<ChannelEvent> for Said {
    fn from(event: ChannelEvent) -> Said {
        Said { events: vec![event], blocked: false }
    }
}

impl From<Vec<ChannelEvent>> for Said {
    fn from(events: Vec<ChannelEvent>) -> Said {
        Said { events, blocked: false }
    }
}

impl ChannelSettings {
    /// The setting that would do without a public URL, if it only works when providers can reach this server.
    pub fn needs_public_url(&self) -> Option<&'static str> {
        match self {
            ChannelSettings::Gateway(_) => None,
            ChannelSettings::Http(settings) => settings.needs_callback_url().then_some("callbacks = false"),
            ChannelSettings::Smpp(_) => None,
            ChannelSettings::Telegram(settings) => {
                (settings.updates == telegram::Updates::Webhook).then_some("updates = \"polling\"")
            }
            #[cfg(feature = "simulation")]
            ChannelSettings::Scripted(_) => None,
        }
    }

    /// How much it is given at once.
    pub fn pace(&self) -> Pace {
        match self {
            ChannelSettings::Gateway(settings) => settings.pace(),
            ChannelSettings::Http(settings) => settings.pace(),
            ChannelSettings::Smpp(settings) => settings.pace(),
            ChannelSettings::Telegram(settings) => settings.pace,
            #[cfg(feature = "simulation")]
            ChannelSettings::Scripted(scripted) => scripted.pace,
        }
    }

    /// How it words its messages.
    pub fn wording(&self) -> Wording<'_> {
        match self {
            // The upstream has words of its own.
            ChannelSettings::Gateway(_) => Wording::default(),
            ChannelSettings::Http(settings) => settings.wording(),
            ChannelSettings::Smpp(settings) => settings.wording(),
            // Each person gets theirs, as their Telegram says it.
            ChannelSettings::Telegram(_) => Wording::default(),
            #[cfg(feature = "simulation")]
            ChannelSettings::Scripted(_) => Wording::default(),
        }
    }

    /// The kind, as the operator writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            ChannelSettings::Gateway(_) => "gateway",
            ChannelSettings::Http(_) => "http",
            ChannelSettings::Smpp(_) => "smpp",
            ChannelSettings::Telegram(_) => "telegram",
            #[cfg(feature = "simulation")]
            ChannelSettings::Scripted(_) => "scripted",
        }
    }

    /// The shortest time that a hop through it must have: with less, it takes no message.
    pub fn shortest_hop(&self) -> Duration {
        match self {
            ChannelSettings::Gateway(_) => Duration::from_secs(gateway::TTL_MIN_S),
            _ => Duration::ZERO,
        }
    }

    /// Whether `text` is the token that it calls an upstream with: one of this very house would call itself.
    pub fn is_token_of_upstream(&self, text: &str) -> bool {
        match self {
            ChannelSettings::Gateway(settings) => settings.is_token(text),
            _ => false,
        }
    }

    /// What may not be meant as it is set.
    pub fn doubt(&self) -> Option<String> {
        match self {
            ChannelSettings::Gateway(_) => None,
            ChannelSettings::Http(settings) => settings.doubt(),
            ChannelSettings::Smpp(_) => None,
            ChannelSettings::Telegram(settings) => settings.doubt(),
            #[cfg(feature = "simulation")]
            ChannelSettings::Scripted(_) => None,
        }
    }
}

impl Channels {
    /// The channels of this configuration.
    pub fn new(live: Routes, settings: BTreeMap<ChannelName, ChannelSettings>, lent: &Lent) -> Channels {
        let outside =
            settings.into_iter().map(|(name, settings)| (name.clone(), Outside::new(name, settings, lent)));
        Channels { live, outside: outside.collect() }
    }

    /// Which channels a message to `phone` would go through. Asks nobody.
    pub fn route(&self, mode: Mode, phone: Phone) -> Route {
        match (mode, self.live.line(phone)) {
            (Mode::Test, _) | (Mode::Live, Line::Sandbox) => sandbox::route(phone),
            (Mode::Live, Line::Nowhere) => {
                Route { hops: sandbox::hop(), subscribers_only: Arc::default(), reach: Reach::No }
            }
            (Mode::Live, Line::Hops(hops)) => {
                Route { hops: hops.clone(), subscribers_only: self.subscribers_only(hops), reach: Reach::Yes }
            }
        }
    }

    fn subscribers_only(&self, hops: &[Hop]) -> Arc<[ChannelName]> {
        let serves_them =
            |name: &&ChannelName| self.outside.get(*name).is_some_and(|outside| outside.is_for_subscribers());
        hops.iter().map(|hop| &hop.channel).filter(serves_them).cloned().collect()
    }

    /// Where live messages go.
    pub fn routes(&self) -> &Routes {
        &self.live
    }

    /// Every channel with a wire.
    pub fn all_outside(&self) -> impl Iterator<Item = (&ChannelName, &Outside)> {
        self.outside.iter()
    }

    /// A channel with a wire.
    pub fn outside(&self, name: &ChannelName) -> Option<&Outside> {
        self.outside.get(name)
    }

    /// What a channel inside the house, which is the sandbox, says to a message: it depends on the message alone, and
    /// nothing outside is touched. `None` for a channel with a wire, which only the delivery worker may use.
    pub fn inside(job: &Job) -> Option<Vec<ChannelEvent>> {
        job.channel.is_sandbox().then(|| sandbox::deliver(job, job.asked_at))
    }

    /// What the sandbox says to an errand.
    pub fn ask_sandbox(errand: Errand, job: &Job, now: Time) -> Vec<ChannelEvent> {
        match errand {
            Errand::Deliver => sandbox::deliver(job, now),
            Errand::Poll => sandbox::poll(job),
            // It shows a withdrawn message as withdrawn by its status: nothing has to be taken back.
            Errand::Withdraw => Vec::new(),
        }
    }
}

impl Outside {
    fn new(name: ChannelName, settings: ChannelSettings, lent: &Lent) -> Outside {
        let gate = Gate::new(name.clone(), settings.pace());
        let channel = match settings {
            ChannelSettings::Gateway(settings) => {
                Channel::Gateway(Box::new(gateway::Gateway::new(name, *settings, lent)))
            }
            ChannelSettings::Http(settings) => {
                Channel::Http(Box::new(http::Http::new(name, *settings, lent)))
            }
            ChannelSettings::Smpp(settings) => Channel::Smpp(Box::new(smpp::Smpp::new(*settings, lent))),
            ChannelSettings::Telegram(settings) => {
                Channel::Telegram(Box::new(Telegram::new(name, *settings, lent.clone())))
            }
            #[cfg(feature = "simulation")]
            ChannelSettings::Scripted(scripted) => Channel::Scripted(scripted),
        };
        Outside { channel, gate }
    }

    /// Whether it reaches nobody but those who subscribed.
    pub fn is_for_subscribers(&self) -> bool {
        match &self.channel {
            Channel::Gateway(_) | Channel::Http(_) | Channel::Smpp(_) => false,
            Channel::Telegram(_) => true,
            #[cfg(feature = "simulation")]
            Channel::Scripted(scripted) => scripted.subscribers_only,
        }
    }

    /// Whether one alone of the servers over a database may listen to it at a time.
    pub fn listens_alone(&self) -> bool {
        match &self.channel {
            Channel::Gateway(_) | Channel::Http(_) | Channel::Smpp(_) => false,
            Channel::Telegram(telegram) => telegram.listens_alone(),
            #[cfg(feature = "simulation")]
            Channel::Scripted(_) => false,
        }
    }

    /// The bot, if it is one on Telegram.
    pub fn bot(&self) -> Option<&telegram::Bot> {
        match &self.channel {
            Channel::Telegram(telegram) => Some(telegram.bot()),
            _ => None,
        }
    }

    /// The gate before it.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Keeps an ear on the channel until told to stop, where it has something to say by itself.
    pub async fn listen(&self, inbox: Inbox, mut stopped: watch::Receiver<bool>) {
        match &self.channel {
            // It is called back.
            Channel::Gateway(_) | Channel::Http(_) => {
                let _ = (inbox, stopped.wait_for(|stop| *stop).await);
            }
            Channel::Smpp(smpp) => smpp.listen(inbox, stopped).await,
            Channel::Telegram(telegram) => telegram.listen(inbox, stopped).await,
            #[cfg(feature = "simulation")]
            Channel::Scripted(_) => {
                // It says nothing by itself; nobody else may put anything in its place.
                let _ = (inbox, stopped.wait_for(|stop| *stop).await);
            }
        }
    }

    /// Takes in what somebody says at the channel's own address. Who it is and what it says is for the channel to judge.
    pub async fn hear(&self, incoming: Incoming, inbox: &Inbox) -> Answer {
        match &self.channel {
            Channel::Gateway(gateway) => gateway.hear(incoming, inbox).await,
            Channel::Http(http) => http.hear(incoming, inbox).await,
            // Its receipts come over its session.
            Channel::Smpp(_) => Answer::Forbidden,
            Channel::Telegram(telegram) => telegram.hear(incoming, inbox).await,
            #[cfg(feature = "simulation")]
            Channel::Scripted(_) => Answer::Forbidden,
        }
    }

    /// Looks whether the channel can work, without sending anything to anybody: who it is to the provider, what it has
    /// left there, and whatever else can be asked for free.
    pub async fn examine(&self, now: Time) -> Vec<Finding> {
        match &self.channel {
            Channel::Gateway(gateway) => gateway.examine(now).await,
            Channel::Http(http) => http.examine().await,
            Channel::Smpp(smpp) => smpp.examine().await,
            Channel::Telegram(telegram) => telegram.examine().await,
            #[cfg(feature = "simulation")]
            Channel::Scripted(_) => Vec::new(),
        }
    }

    /// Does an errand. Whatever can go wrong is among what it says.
    pub async fn carry_out(&self, errand: Errand, job: &Job, addressee: Option<&Addressee>) -> Said {
        match &self.channel {
            Channel::Gateway(gateway) => gateway.carry_out(errand, job).await,
            Channel::Http(http) => http.carry_out(errand, job, addressee).await,
            Channel::Smpp(smpp) => smpp.carry_out(errand, job).await,
            Channel::Telegram(telegram) => telegram.carry_out(errand, job, addressee).await,
            #[cfg(feature = "simulation")]
            Channel::Scripted(scripted) => scripted.carry_out(errand, job, addressee).await,
        }
    }
}
