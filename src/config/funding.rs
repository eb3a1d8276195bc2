//! The settings of adding funds.

use super::Amount;
use crate::channels::ChannelSettings;
use crate::channels::telegram::Updates;
use crate::funding::{FundingSettings, StarsSettings, StripeSettings};
use crate::secret::Secret;
use anyhow::{Context, bail, ensure};
use chappe_core::text::ChannelName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FundingTable {
    least: Amount,
    most: Amount,
    stripe: StripeTable,
    stars: StarsTable,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StripeTable {
    secret_key: Secret,
    webhook_secret: Secret,
    currency: String,
    per_credit: NonZeroU32,
    base_url: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StarsTable {
    channel: String,
    per_credit: NonZeroU32,
}

impl FundingTable {
    pub(super) fn settings(
        &self,
        channels: &BTreeMap<ChannelName, ChannelSettings>,
        public_url: Option<&str>,
    ) -> anyhow::Result<FundingSettings> {
        let (least, most) = (self.least.0, self.most.0);
        ensure!(
            least.is_positive() && least <= most,
            "funding.least must be above 0, and funding.most not below it"
        );
        let (stripe, stars) = (self.stripe.settings(public_url)?, self.stars.settings(channels)?);
        Ok(FundingSettings { least, most, stripe, stars })
    }

    /// Refuses what would take real money for play money.
    pub(super) fn refuse_real_money(&self) -> anyhow::Result<()> {
        let key = self.stripe.secret_key.expose();
        ensure!(
            !["sk_live_", "rk_live_"].iter().any(|mode| key.starts_with(mode)),
            "funding.stripe.secret_key takes real money, and what chappe dev credits is play: use one of Stripe's test mode"
        );
        Ok(())
    }

    /// What may not be meant as it is set.
    pub(super) fn doubt(&self) -> Option<String> {
        let test = self.stripe.secret_key.expose().starts_with("sk_test_");
        test.then(|| {
            "funding.stripe.secret_key is one of Stripe's test mode: live accounts are credited, and nobody pays".to_owned()
        })
    }
}

impl StripeTable {
    fn settings(&self, public_url: Option<&str>) -> anyhow::Result<Option<StripeSettings>> {
        if self.secret_key.is_empty() {
            return Ok(None);
        }
        ensure!(
            !self.webhook_secret.is_empty(),
            "funding.stripe.webhook_secret is empty: without it no payment is believed, so none would be booked"
        );
        ensure!(
            public_url.is_some(),
            "funding.stripe needs public_url: Stripe sends browsers back there, and its events"
        );
        let header = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(header(self.secret_key.expose()), "funding.stripe.secret_key has characters that no key has");
        let currency = self.currency.to_ascii_lowercase();
        ensure!(
            currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_lowercase()),
            "funding.stripe.currency has three letters, such as \"eur\""
        );
        let base_url = self.base_url.trim_end_matches('/').to_owned();
        let url = url::Url::parse(&base_url).context("funding.stripe.base_url cannot be used")?;
        let here = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        ensure!(
            url.scheme() == "https" || (url.scheme() == "http" && here),
            "funding.stripe.base_url begins with https://: plain HTTP goes to this machine alone"
        );
        Ok(Some(StripeSettings {
            secret_key: self.secret_key.clone(),
            webhook_secret: self.webhook_secret.clone(),
            currency,
            per_credit: self.per_credit,
            base_url,
        }))
    }
}

impl StarsTable {
    fn settings(
        &self,
        channels: &BTreeMap<ChannelName, ChannelSettings>,
    ) -> anyhow::Result<Option<StarsSettings>> {
        if self.channel.is_empty() {
            return Ok(None);
        }
        let found = ChannelName::parse(&self.channel).and_then(|name| channels.get_key_value(&name));
        match found {
            Some((name, ChannelSettings::Telegram(bot))) => {
                ensure!(
                    bot.updates != Updates::None,
                    "funding.stars.channel is {name}, which does not hear what people pay: set channels.{name}.updates"
                );
                Ok(Some(StarsSettings { channel: name.clone(), per_credit: self.per_credit }))
            }
            Some((name, _)) => bail!("funding.stars.channel is {name}, which is no bot on Telegram"),
            None => bail!("funding.stars.channel is {:?}, and there is no such channel", self.channel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use figment::Figment;
    use figment::providers::{Format, Toml};

    fn settings(more: &str) -> Result<FundingSettings, String> {
        let figment = Figment::from(Toml::string(crate::config::DEFAULTS)).merge(Toml::string(more));
        let config: Config = figment.extract().map_err(|error| error.to_string())?;
        config.settings().map(|settings| settings.funding).map_err(|error| format!("{error:#}"))
    }

    const BOT: &str = "[channels.bot]\nkind = \"telegram\"\ntoken = \"1:abcdefgh\"\n";

    #[test]
    fn nothing_is_set_up_by_itself() {
        let funding = settings("").unwrap();
        assert!(funding.stripe.is_none() && funding.stars.is_none());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let public = "public_url = \"https://codes.example\"\n";
        let keys = "secret_key = \"sk_1\"\nwebhook_secret = \"whsec_1\"\n";
        let stripe = |more: &str| settings(&format!("{public}[funding.stripe]\n{keys}{more}"));
        assert_eq!(stripe("currency = \"EUR\"").unwrap().stripe.unwrap().currency, "eur");
        assert!(stripe("base_url = \"http://127.0.0.1:9/\"").is_ok());
        for (more, why) in [
            ("currency = \"euro\"", "three letters"),
            ("base_url = \"http://stripe.example\"", "plain HTTP goes to this machine alone"),
            ("base_url = \"nowhere\"", "base_url cannot be used"),
            ("per_credit = 0", "nonzero"),
        ] {
            let error = stripe(more).unwrap_err();
            assert!(error.contains(why), "{more}: {error}");
        }
        let lone = settings(&format!("[funding.stripe]\n{keys}")).unwrap_err();
        assert!(lone.contains("needs public_url"), "{lone}");
        let open = settings(&format!("{public}[funding.stripe]\nsecret_key = \"sk_1\"")).unwrap_err();
        assert!(open.contains("webhook_secret is empty"), "{open}");
        let limits = settings("[funding]\nleast = \"2\"\nmost = \"1\"").unwrap_err();
        assert!(limits.contains("funding.least"), "{limits}");
    }

    #[test]
    fn nobody_pays_real_money_in_development() {
        let tried = |key: &str| {
            let keys = format!("[funding.stripe]\nsecret_key = \"{key}\"\nwebhook_secret = \"whsec_1\"\n");
            let public = "public_url = \"http://127.0.0.1:8787\"\n";
            let figment = Figment::from(Toml::string(crate::config::DEFAULTS));
            let config: Config = figment.merge(Toml::string(&format!("{public}{keys}"))).extract().unwrap();
            config
                .dev_settings()
                .map(|settings| settings.funding.stripe.is_some())
                .map_err(|error| error.to_string())
        };
        assert_eq!(tried("sk_test_1"), Ok(true));
        for key in ["sk_live_1", "rk_live_1"] {
            assert!(tried(key).unwrap_err().contains("takes real money"), "{key}");
        }
    }

    #[test]
    fn stars_need_a_bot_that_listens() {
        let stars = |channel: &str, bot: &str| {
            settings(&format!("{bot}\n[funding.stars]\nchannel = \"{channel}\"\n"))
        };
        assert_eq!(stars("bot", BOT).unwrap().stars.unwrap().channel.as_str(), "bot");
        let none = stars("sms", BOT).unwrap_err();
        assert!(none.contains("there is no such channel"), "{none}");
        let deaf = stars("bot", &format!("{BOT}updates = \"none\"\n")).unwrap_err();
        assert!(deaf.contains("does not hear what people pay"), "{deaf}");
    }
}
