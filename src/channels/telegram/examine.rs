//! What can be found out about a bot without writing to anybody.

use super::{CallError, Telegram, Updates};
use crate::channels::finding::Finding;

impl Telegram {
    /// Looks whether Telegram knows the bot, and whether people can subscribe.
    pub(in crate::channels) async fn examine(&self) -> Vec<Finding> {
        let mut findings = vec![match self.bot.get_me().await {
            Ok(username) => Finding::ok(format!("the token is that of @{username}")),
            Err(error @ CallError::Refused { .. }) => {
                Finding::fail(error.to_string(), "copy the token from @BotFather anew")
            }
            Err(error) => {
                Finding::fail(error.to_string(), "look at base_url, and whether this machine may reach it")
            }
        }];
        findings.extend(self.examine_updates());
        findings
    }

    /// What may not be meant of it is among the doubts about the settings, and without public_url there is no webhook.
    fn examine_updates(&self) -> Option<Finding> {
        let told = self.settings.updates == Updates::Webhook && self.settings.doubt().is_none();
        let url = self.lent.callbacks.url(&self.name, "webhook").filter(|_| told)?;
        Some(Finding::ok(format!("Telegram is told to call {url}")))
    }
}
