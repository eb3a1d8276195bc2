//! Configuration: one struct; the defaults file, the operator's file and the environment, each over the one before.

mod funding;

use crate::app::{ConsoleSettings, Settings};
use crate::channels::ChannelSettings;
use crate::channels::gate::CONCURRENCY_MAX;
use crate::channels::route::{InvalidRoute, Line, Routes};
use crate::channels::text::Texts;
use crate::net::address::{TrustedProxies, parse_range};
use crate::net::outbound::OutboundPolicy;
use crate::oidc;
use crate::vault::MasterKey;
use anyhow::{Context, bail, ensure};
use chappe_core::limits::{Limit, Rate};
use chappe_core::price::Prices;
use chappe_core::text::ChannelName;
use chappe_core::{Money, Rules};
use figment::providers::{Env, Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Every setting with its default and its comment.
pub const DEFAULTS: &str = include_str!("../chappe.default.toml");

/// The operator's file that is read when none is named.
const FILE: &str = "chappe.toml";

/// The longest queue that can be set: each place takes memory.
const QUEUE_MAX: usize = 1 << 20;

/// The longest time to leave the balancer that can be set: whoever starts servers waits only so long for one to stop.
const DRAIN_MAX_S: u64 = 300;

/// Variables of the environment that are no settings: they stand for flags, or hold secrets.
const NOT_SETTINGS: [&str; 6] = ["key", "token", "own_number", "balance", "base_url", "config"];

/// What the operator can set. `chappe.default.toml` says what each means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the SQLite database lies.
    pub data: PathBuf,
    /// The PostgreSQL database; empty: none.
    pub database: DatabaseUrl,
    /// The file with the master key; empty: none.
    pub key_file: PathBuf,
    trusted_proxies: Vec<String>,
    queue: usize,
    drain_s: u64,
    public_url: String,
    /// Certificate files.
    pub tls: Tls,
    /// Logging.
    pub log: Log,
    prices: PriceSettings,
    routes: RouteSettings,
    #[serde(default)]
    channels: ChannelTables,
    texts: TextSettings,
    limits: Limits,
    codes: Life,
    idempotency: Life,
    console: ConsoleTable,
    funding: funding::FundingTable,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsoleTable {
    sign_up: bool,
    oidc: oidc::Configured,
}

/// The URL of a PostgreSQL database. It may hold a password, and so is never shown.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

/// Certificate files; both empty or both given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, as PEM.
    pub certificate: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

/// Logging.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What to log.
    pub filter: String,
    /// How to write it.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceSettings {
    default: Amount,
    by_prefix: BTreeMap<String, Amount>,
}

/// An amount, from a text or a whole number. A number with a point is refused: TOML makes a float of it, which seldom
/// is the amount that was written.
#[derive(Clone, Copy, Debug)]
struct Amount(Money);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a price in quotes, such as \"0.01\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                let unusable = |error| E::custom(format!("the price {text:?} cannot be used: {error}"));
                text.parse().map(Amount).map_err(unusable)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(AmountVisitor)
    }
}

impl DatabaseUrl {
    /// The URL, if there is one.
    pub fn get(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|url| !url.is_empty())
    }
}

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> DatabaseUrl {
        DatabaseUrl(url.to_owned())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// A price or a secret in a variable, as it is written there. Like every variable it would else be read as a number.
struct TextVariable {
    environment: Env,
    setting: String,
    text: String,
}

/// Settings of channels that are texts, whatever they look like.
const TEXTS_OF_CHANNELS: [&str; 7] =
    [".user", ".password", ".token", ".secret", ".webhook_secret", ".system_id", ".from"];

impl TextVariable {
    /// The prices and secrets among the variables. What is in quotes or braces is read as TOML, like everything else.
    fn all(environment: &Env) -> Vec<TextVariable> {
        let bare = |text: &str| !text.starts_with(['"', '\'', '{']);
        let variables = environment.iter().map(|(setting, text)| TextVariable {
            environment: environment.clone(),
            setting: setting.to_string(),
            text: text.trim().to_owned(),
        });
        let is_text = |setting: &str| {
            let of_channel = setting.starts_with("channels.")
                && (setting.contains(".vars.")
                    || setting.contains(".headers.")
                    || TEXTS_OF_CHANNELS.iter().any(|end| setting.ends_with(end)));
            setting.starts_with("prices.")
                || setting.starts_with("console.oidc.")
                || setting.starts_with("funding.") && !setting.ends_with(".per_credit")
                || of_channel
        };
        variables.filter(|found| is_text(&found.setting) && bare(&found.text)).collect()
    }
}

impl Provider for TextVariable {
    fn metadata(&self) -> Metadata {
        self.environment.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = figment::util::nest(&self.setting, self.text.clone().into());
        Ok(Profile::Default.collect(value.into_dict().unwrap_or_default()))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteSettings {
    live: Hops,
    by_prefix: BTreeMap<String, Hops>,
}

/// The hops of a route: a list, or a single one.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Hops {
    One(String),
    Several(Vec<String>),
}

impl Hops {
    fn line(&self) -> Result<Line, InvalidRoute> {
        match self {
            Hops::One(hop) => Line::parse(&[hop]),
            Hops::Several(hops) => Line::parse(hops),
        }
    }
}

/// What is set of each channel. It is read where channels are used: other commands beside a server need not be given its
/// secrets. It holds them, and so is never shown.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
struct ChannelTables(BTreeMap<String, Value>);

impl fmt::Debug for ChannelTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextSettings {
    brand: String,
    by_language: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    sends_per_phone: usize,
    sends_window_s: u64,
    attempts_per_request: u8,
    failures_per_phone: usize,
    failures_window_s: u64,
    account_per_second: u32,
    account_burst: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Life {
    life_s: u64,
}

impl Config {
    /// Reads everything. A setting that does not exist, or cannot be read, is an error that names it and where it stands.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Config> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            ensure!(file.exists(), "there is no file {}", file.display());
        }
        let file = file.unwrap_or(Path::new(FILE));
        if file.exists() {
            figment = figment.merge(Toml::file_exact(file));
        }
        // A cluster that runs a service named `chappe` sets variables of its own: CHAPPE_PORT, CHAPPE_SERVICE_HOST…
        let of_cluster = |name: &str| name.starts_with("port") || name.starts_with("service_");
        let environment = Env::prefixed("CHAPPE_").ignore(&NOT_SETTINGS);
        let environment = environment.filter(move |name| !of_cluster(&name.as_str().to_ascii_lowercase()));
        let environment = environment.split("__");
        let texts = TextVariable::all(&environment);
        let figment = texts.into_iter().fold(figment.merge(environment), Figment::merge);
        figment.extract().context("the configuration cannot be used")
    }

    /// The defaults alone, for tests and for `chappe dev` without a file.
    pub fn defaults() -> anyhow::Result<Config> {
        Figment::from(Toml::string(DEFAULTS)).extract().context("the defaults cannot be used")
    }

    /// How long calls are still taken after a stop was asked for.
    pub fn drain(&self) -> anyhow::Result<Duration> {
        ensure!(self.drain_s <= DRAIN_MAX_S, "drain_s must be {DRAIN_MAX_S} at most");
        Ok(Duration::from_secs(self.drain_s))
    }

    /// The rules that this configuration makes.
    pub fn rules(&self) -> anyhow::Result<Rules> {
        let by_prefix = self.prices.by_prefix.iter().map(|(prefix, Amount(price))| (prefix.clone(), *price));
        let Limits { sends_per_phone, attempts_per_request, failures_per_phone, .. } = self.limits;
        ensure!(
            sends_per_phone > 0 && attempts_per_request > 0 && failures_per_phone > 0,
            "limits.sends_per_phone, limits.attempts_per_request and limits.failures_per_phone must be above 0"
        );
        ensure!(
            (30..=86_400).contains(&self.codes.life_s),
            "codes.life_s must be from 30 to 86400: a code that is dead before it arrives is of no use to anybody"
        );
        ensure!(
            (60..=30 * 86_400).contains(&self.idempotency.life_s),
            "idempotency.life_s must be from 60 to 2592000"
        );
        let rate = Rate { per_second: self.limits.account_per_second, burst: self.limits.account_burst };
        Ok(Rules {
            prices: Prices::new(self.prices.default.0, by_prefix.collect())?,
            sends_per_phone: Limit {
                max: sends_per_phone,
                within: Duration::from_secs(self.limits.sends_window_s),
            },
            failures_per_phone: Limit {
                max: failures_per_phone,
                within: Duration::from_secs(self.limits.failures_window_s),
            },
            attempts_max: attempts_per_request,
            account_rate: (rate.per_second > 0).then_some(rate),
            code_life: Duration::from_secs(self.codes.life_s),
            lease: Duration::from_secs(30),
            idempotency_life: Duration::from_secs(self.idempotency.life_s),
        })
    }

    /// Where messages of live accounts go.
    fn routes(&self) -> anyhow::Result<Routes> {
        let default = self.routes.live.line().context("in routes.live")?;
        let line = |(prefix, hops): (&String, &Hops)| -> anyhow::Result<(String, Line)> {
            let line = hops.line().with_context(|| format!("in routes.by_prefix of {prefix:?}"))?;
            Ok((prefix.clone(), line))
        };
        let by_prefix = self.routes.by_prefix.iter().map(line).collect::<Result<_, _>>()?;
        Ok(Routes::new(default, by_prefix)?)
    }

    /// The channels by their names, each of which can do what it is set up to do.
    pub fn channels(&self) -> anyhow::Result<BTreeMap<ChannelName, ChannelSettings>> {
        let (texts, public_url) = (self.texts()?, self.public_url()?);
        let mut channels = BTreeMap::new();
        for (name, table) in &self.channels.0 {
            let parsed = ChannelName::parse(name).filter(|name| !matches!(name.as_str(), "none" | "sandbox"));
            let parsed = parsed.with_context(|| {
                format!(
                    "{name:?} cannot be the name of a channel: it has 1 to 32 lower-case letters, digits and hyphens, \
                     and is neither \"none\" nor \"sandbox\""
                )
            })?;
            let settings: ChannelSettings =
                table.deserialize().with_context(|| format!("in channels.{name}"))?;
            if let (None, Some(without)) = (&public_url, settings.needs_public_url()) {
                bail!(
                    "channels.{name} tells its provider where to call back: set public_url to the address under which \
                     providers reach this server, or channels.{name}.{without}"
                );
            }
            let at_once = settings.pace().concurrency.get();
            ensure!(
                at_once <= CONCURRENCY_MAX,
                "channels.{name} is given {at_once} messages at once, and may be given {CONCURRENCY_MAX} at most"
            );
            let language = settings.wording().language;
            ensure!(
                language.is_empty() || texts.knows(language),
                "channels.{name}.language is {language:?}, and there is no text in it: write one in texts.by_language"
            );
            channels.insert(parsed, settings);
        }
        Ok(channels)
    }

    /// Where providers reach this server.
    pub fn public_url(&self) -> anyhow::Result<Option<String>> {
        let text = self.public_url.trim().trim_end_matches('/');
        if text.is_empty() {
            return Ok(None);
        }
        let url = url::Url::parse(text).context("public_url cannot be used")?;
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        ensure!(
            matches!(url.scheme(), "https" | "http") && url.has_host() && bare && url.password().is_none(),
            "public_url must be an address such as \"https://codes.example.com\", without anything after its path"
        );
        Ok(Some(text.to_owned()))
    }

    /// The texts of messages.
    pub fn texts(&self) -> anyhow::Result<Texts> {
        let life = Duration::from_secs(self.codes.life_s);
        Texts::new(&self.texts.brand, &self.texts.by_language, life).context("in texts")
    }

    /// What is allowed, and may still not be meant.
    pub fn doubts(&self) -> anyhow::Result<Vec<String>> {
        let used = self.routes()?.channels();
        let mut doubts = Vec::new();
        for (name, settings) in self.channels()? {
            if !used.contains(&name) {
                doubts.push(format!("channels.{name} is set up, and no route leads to it"));
            }
            if let Some(doubt) = settings.doubt() {
                doubts.push(format!("channels.{name}: {doubt}"));
            }
        }
        doubts.extend(self.funding.doubt());
        Ok(doubts)
    }

    /// The settings of a server.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.settings_that_reach(OutboundPolicy::PublicOnly)
    }

    fn settings_that_reach(&self, outbound: OutboundPolicy) -> anyhow::Result<Settings> {
        let range = |text: &String| {
            parse_range(text)
                .with_context(|| format!("{text:?} in trusted_proxies is no address or CIDR range"))
        };
        ensure!((1..=QUEUE_MAX).contains(&self.queue), "queue must be above 0, and {QUEUE_MAX} at most");
        let (routes, channels) = (self.routes()?, self.channels()?);
        let public_url = self.public_url()?;
        let funding = self.funding.settings(&channels, public_url.as_deref())?;
        let missing = |name: &ChannelName| !name.is_sandbox() && !channels.contains_key(name);
        if let Some(name) = routes.channels().into_iter().find(missing) {
            let names: Vec<_> = channels.keys().map(ChannelName::as_str).collect();
            let there_are = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
            bail!(
                "a route leads to channel {:?}, and there is no [channels.{name}]: there are {there_are}",
                name.as_str()
            );
        }
        let public_url = self.public_url()?;
        let plain_loopback = outbound == OutboundPolicy::LoopbackToo;
        let oidc = self.console.oidc.settings(public_url.as_deref(), plain_loopback);
        let oidc = oidc.context("in console.oidc")?;
        Ok(Settings {
            rules: self.rules()?,
            routes,
            channels,
            texts: Arc::new(self.texts()?),
            public_url,
            funding,
            queue_max: self.queue,
            trusted_proxies: TrustedProxies(
                self.trusted_proxies.iter().map(range).collect::<Result<_, _>>()?,
            ),
            outbound,
            proxies_only: self.tls.certificate.as_os_str().is_empty(),
            sandbox_by_worker: false,
            console: ConsoleSettings { sign_up: self.console.sign_up, oidc },
            dev: false,
        })
    }

    /// The settings of `chappe dev`: every route ends in the sandbox, no limit per account, reports may go to this
    /// machine, everybody may sign up, and nobody pays real money for what is play.
    pub fn dev_settings(&self) -> anyhow::Result<Settings> {
        self.funding.refuse_real_money()?;
        let rules = Rules { account_rate: None, ..self.rules()? };
        let settings = self.settings_that_reach(OutboundPolicy::LoopbackToo)?;
        Ok(Settings {
            rules,
            proxies_only: false,
            sandbox_by_worker: false,
            routes: Routes::sandbox(),
            console: ConsoleSettings { sign_up: true, ..settings.console },
            dev: true,
            ..settings
        })
    }

    /// Why a server must not be started like this, if it must not.
    pub fn refuse_if_unsafe(&self) -> anyhow::Result<()> {
        let Tls { certificate, key } = &self.tls;
        let (certificate, key) = (!certificate.as_os_str().is_empty(), !key.as_os_str().is_empty());
        ensure!(certificate == key, "tls.certificate and tls.key belong together: give both, or neither");
        if !certificate && self.trusted_proxies.is_empty() {
            bail!(
                "refusing to serve tokens and codes over plain HTTP: give tls.certificate and tls.key, or, behind a \
                 proxy that terminates TLS, its address in trusted_proxies"
            );
        }
        Ok(())
    }

    /// The master key: from `CHAPPE_KEY`, or from the key file.
    pub fn master_key(&self) -> anyhow::Result<MasterKey> {
        if let Some(key) = key_of_environment()? {
            return Ok(key);
        }
        if self.key_file.as_os_str().is_empty() {
            bail!(
                "no master key: make one with `chappe key generate > FILE`, and name the file in key_file (or put the \
                 key itself into CHAPPE_KEY)"
            );
        }
        read_key(&self.key_file)
    }
}

/// The key in `CHAPPE_KEY`, if there is one.
pub fn key_of_environment() -> anyhow::Result<Option<MasterKey>> {
    match std::env::var("CHAPPE_KEY") {
        Ok(text) if !text.trim().is_empty() => {
            MasterKey::parse(&text).map(Some).context("CHAPPE_KEY does not hold a master key")
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Reads a key file, which must be readable by its owner alone.
pub fn read_key(file: &Path) -> anyhow::Result<MasterKey> {
    use std::os::unix::fs::PermissionsExt;
    let name = file.display();
    let metadata =
        std::fs::metadata(file).with_context(|| format!("cannot read the master key file {name}"))?;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(mode & 0o077 == 0, "the master key file {name} can be read by others: `chmod 600 {name}`");
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the master key file {name}"))?;
    MasterKey::parse(&text).with_context(|| format!("in {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_file_is_whole() {
        let config = Config::defaults().unwrap();
        let rules = config.rules().unwrap();
        assert_eq!(rules.sends_per_phone, Limit { max: 5, within: Duration::from_secs(600) });
        assert_eq!(rules.attempts_max, 5);
        assert!(config.dev_settings().unwrap().rules.account_rate.is_none());
    }

    #[test]
    fn plain_http_without_a_proxy_is_refused() {
        let mut config = Config::defaults().unwrap();
        assert!(config.refuse_if_unsafe().unwrap_err().to_string().contains("plain HTTP"));
        config.tls.certificate = "chain.pem".into();
        assert!(config.refuse_if_unsafe().is_err(), "a certificate without its key");
        config.tls.key = "key.pem".into();
        assert!(config.refuse_if_unsafe().is_ok());
        config.tls = Tls { certificate: PathBuf::new(), key: PathBuf::new() };
        config.trusted_proxies = vec!["127.0.0.1".to_owned()];
        assert!(config.refuse_if_unsafe().is_ok());
    }
}
