//! Requests that were written lately, in memory: what is worked on next is mostly what was written last, and reading a
//! row back means opening what is sealed in it.
//!
//! Nobody else changes request rows: a database has one server, and the command line writes to other tables only. What
//! the server itself writes past the rules (wiping codes) empties the cache.

use chappe_core::{Book, Request, RequestId};
use std::collections::HashMap;

/// Requests as they stand in the database. Two generations, so that what was not used for a while falls out.
#[derive(Debug, Default)]
pub(super) struct RecentRequests {
    young: HashMap<RequestId, Request>,
    old: HashMap<RequestId, Request>,
}

/// How many requests a generation holds: about 4 MB.
const GENERATION: usize = 8_192;

impl RecentRequests {
    /// The request, if it is at hand.
    pub(super) fn get(&self, id: RequestId) -> Option<&Request> {
        self.young.get(&id).or_else(|| self.old.get(&id))
    }

    /// Takes over what a committed batch changed.
    pub(super) fn apply(&mut self, book: &Book) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        for (request, _) in book.changed_requests() {
            let mut request = request.clone();
            request.mark_saved();
            self.old.remove(&request.id);
            self.young.insert(request.id, request);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
