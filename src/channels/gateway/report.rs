//! Reports of the upstream, at the address that it was given with the message.

use super::{Gateway, name_of, said};
use crate::channels::callback::{Answer, Incoming};
use crate::channels::inbox::{About, Inbox, News, NotTaken};
use chappe_client::report::{ReportError, SIGNATURE_HEADER, TIMESTAMP_HEADER, verify_report};
use chappe_client::wire::RequestStatus;
use std::time::{Duration, UNIX_EPOCH};

impl Gateway {
    /// Takes a report in, if it comes from the upstream and is about the message that its address was made for.
    pub(in crate::channels) async fn hear(&self, incoming: Incoming, inbox: &Inbox) -> Answer {
        let Some((request, hop)) = self.callbacks.hop_of_path(&self.name, &incoming.path) else {
            return Answer::Forbidden;
        };
        let status = match self.read(&incoming) {
            Ok(status) => status,
            Err(ReportError::Body(_)) => return Answer::Malformed,
            Err(_) => return Answer::Forbidden,
        };
        if status.payload.as_deref() != Some(&name_of(request, hop)) {
            return Answer::Forbidden;
        }
        let events = said::of_status(&status);
        if events.is_empty() {
            return Answer::Heard;
        }
        match inbox.put(News::Said { about: About::Hop(request, hop), events }).await {
            Ok(()) => Answer::Heard,
            Err(NotTaken::Unknown) => Answer::Unknown,
            Err(NotTaken::Failed) => Answer::Again,
        }
    }

    /// The report, if whoever holds our token has signed it. It may be of any age: statuses never go back, so that an old
    /// one says nothing new, and one of ours or theirs with a wrong clock must not go unheard.
    fn read(&self, incoming: &Incoming) -> Result<RequestStatus, ReportError> {
        let header =
            |name| incoming.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (timestamp, signature) = (header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
        let token = self.settings.token.expose();
        verify_report(token, timestamp, signature, &incoming.body, UNIX_EPOCH, Duration::MAX)
    }
}
