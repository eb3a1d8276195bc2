//! Requests that were worked on lately, in memory: what is worked on next is mostly what was written last, and reading
//! a row back means opening what is sealed in it.
//!
//! Nobody else changes request rows: a database has one server, and the command line writes to other tables only. What
//! the server itself writes past the rules (wiping codes) empties the cache.

use chappe_core::{Request, RequestId};
use std::collections::HashMap;

/// Requests as they stand in the database. Two generations, so that what was not used for a while falls out.
#[derive(Debug, Default)]
pub(super) struct RecentRequests {
    young: HashMap<RequestId, Request>,
    old: HashMap<RequestId, Request>,
}

/// How many requests a generation holds: about 2 MB.
const GENERATION: usize = 4_096;

impl RecentRequests {
    /// The request, if it is at hand. It is put back once its batch is committed; should that fail, it is read from its
    /// row the next time.
    pub(super) fn take(&mut self, id: RequestId) -> Option<Request> {
        self.young.remove(&id).or_else(|| self.old.remove(&id))
    }

    /// Keeps requests as a committed batch left them.
    pub(super) fn put(&mut self, requests: impl Iterator<Item = Request>) {
        for request in requests {
            if self.young.len() >= GENERATION {
                std::mem::swap(&mut self.young, &mut self.old);
                self.young.clear();
            }
            self.young.insert(request.id, request);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
