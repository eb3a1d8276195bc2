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

    fn examine_updates(&self) -> Option<Finding> {
        if let Some(doubt) = self.settings.doubt() {
            return Some(Finding::warn(
                doubt,
                "set updates and webhook_secret as docs/channels/telegram.md says",
            ));
        }
        let webhook = self.settings.updates == Updates::Webhook;
        let url = self.lent.callbacks.url(&self.name, "webhook").filter(|_| webhook);
        match (webhook, url) {
            (true, Some(url)) => Some(Finding::ok(format!("Telegram is told to call {url}"))),
            (true, None) => Some(Finding::fail(
                "the webhook needs public_url, which is not set",
                "set public_url, or updates = \"polling\"",
            )),
            (false, _) => None,
        }
    }
}
