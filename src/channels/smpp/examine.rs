//! What can be found out about an SMSC without sending a message through it.

use super::Smpp;
use crate::channels::finding::Finding;
use chappe_smpp::State;
use std::sync::PoisonError;
use std::time::Duration;

/// How long the SMSC may take to take us or to say no.
const BIND_MAX: Duration = Duration::from_secs(15);

impl Smpp {
    /// Binds once, and unbinds again. Beside a server that runs, this takes a second bind of the account.
    pub(in crate::channels) async fn examine(&self) -> Vec<Finding> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(ends) = ends else { return Vec::new() };
        let mut state = self.client.state();
        let settled = async {
            let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
            let found = settled.map(|state| state.clone());
            self.client.shut_down();
            found
        };
        let both = async { tokio::join!(settled, ends.driver.run()).0 };
        let advice = "look at address, system_id and password, and ask the provider how many binds the account may have";
        vec![match tokio::time::timeout(BIND_MAX, both).await {
            Ok(Ok(State::Bound)) => Finding::ok("the SMSC takes the credentials"),
            Ok(Ok(State::Down { reason, .. })) => Finding::fail(reason.to_string(), advice),
            Ok(Ok(State::Connecting | State::Closed) | Err(_)) | Err(_) => {
                Finding::fail("the SMSC does not answer", advice)
            }
        }]
    }
}
