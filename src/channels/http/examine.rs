//! What can be found out about a provider without sending a message through it.

use super::Http;
use super::template::Values;
use crate::channels::finding::Finding;
use axum::http::Request;
use bytes::Bytes;

impl Http {
    /// Looks whether the provider can be reached, and whether it will say what becomes of messages. No provider's API has
    /// a call that says for free whether credentials are good, and that all of them share.
    pub(in crate::channels) async fn examine(&self) -> Vec<Finding> {
        std::iter::once(self.examine_reach().await).chain(self.examine_callbacks()).collect()
    }

    async fn examine_reach(&self) -> Finding {
        // Nobody is called: only where the call would go is of interest.
        let values = Values {
            to_digits: "0".to_owned(),
            text: String::new(),
            code: String::new(),
            from: self.settings.from.clone(),
            id: String::new(),
            callback_url: None,
            ttl_s: 1,
        };
        let advice = "look at url, and whether this machine may reach it";
        let request = Request::builder().uri(self.settings.url.render(&values)).body(Bytes::new());
        let Ok(request) = request else { return Finding::fail("its address is none", advice) };
        match self.provider.reach(request).await {
            Ok(host) => Finding::ok(format!(
                "{host} can be reached; whether the credentials are good shows only with a message"
            )),
            Err(failure) => Finding::fail(failure.to_string(), advice),
        }
    }

    /// That no callbacks are described at all is among the doubts about the settings.
    fn examine_callbacks(&self) -> Option<Finding> {
        if self.settings.delivered_on_accept {
            return Some(Finding::ok("what it accepts counts as delivered"));
        }
        self.settings.callback.as_ref()?;
        Some(match self.callbacks.url(&self.name, "…") {
            _ if !self.settings.callbacks => Finding::warn(
                "with callbacks = false no message says where to call back, so that nothing confirms a delivery but calls \
                 to the one address for all messages",
                "set public_url and leave callbacks out, once providers can reach this server",
            ),
            Some(url) => Finding::ok(format!("it is to call back below {url}")),
            None => Finding::fail(
                "it cannot call back: public_url is not set",
                "set public_url to the address under which providers reach this server",
            ),
        })
    }
}
