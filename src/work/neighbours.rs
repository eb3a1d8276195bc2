//! What happens at other servers of the same database, for pages that are live here, and the other way round.
//!
//! Nothing depends on it: what is due is found by looking, tokens are read anew when their version changes, and a page
//! that missed something shows it when it is loaded again.

use crate::app::{App, SandboxNews};
use crate::store::{Bell, TEXT_MAX_BYTES};
use chappe_core::{AccountId, RequestId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// How long news wait for more of them, so that one ring tells many.
const GATHER: Duration = Duration::from_millis(20);
/// The pause before the bell is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// One thing that pages want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Item {
    Changed(AccountId, Option<RequestId>),
    Cleared(Option<AccountId>),
}

/// Runs until told to stop.
pub(super) async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match app.reader.bell().await {
            // Alone on this database. A worker that ends before it is told to would end the server.
            Ok(None) => drop(stopped.wait_for(|stop| *stop).await),
            Ok(Some(bell)) => tokio::select! {
                () = exchange(&app, bell) => tracing::warn!("the other servers cannot be heard; trying again"),
                _ = stopped.wait_for(|stop| *stop) => return,
            },
            Err(error) => tracing::warn!(%error, "the other servers cannot be heard; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Tells and hears until the connection is lost.
async fn exchange(app: &App, mut bell: Bell) {
    let (mut changed, mut news) = (app.changed.subscribe(), app.sandbox_news.subscribe());
    // What was heard is told to the pages here, and comes back by the very channel that is listened to.
    let mut echoes = Echoes::default();
    loop {
        tokio::select! {
            heard = bell.hear() => {
                let Some(text) = heard else { return };
                for item in text.split(' ').filter_map(Item::parse) {
                    echoes.expect(item);
                    item.tell(app);
                }
            }
            first = next(&mut changed, &mut news, &mut echoes) => {
                tokio::time::sleep(GATHER).await;
                let mut items: Vec<Item> = first.into_iter().collect();
                while let Some(item) = waiting(&mut changed, &mut news) {
                    items.extend(echoes.strip(item));
                }
                for text in texts(&items) {
                    if bell.ring(&text).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Waits for news of this server; `None` for an echo, or where so much happened at once that pages have to look anew.
async fn next(
    changed: &mut Receiver<(AccountId, Option<RequestId>)>,
    news: &mut Receiver<SandboxNews>,
    echoes: &mut Echoes,
) -> Option<Item> {
    tokio::select! {
        change = changed.recv() => match change {
            Ok((account, request)) => echoes.strip(Item::Changed(account, request)),
            Err(RecvError::Lagged(_) | RecvError::Closed) => {
                echoes.forget();
                None
            }
        },
        told = news.recv() => match told {
            Ok(SandboxNews::Cleared(account)) => echoes.strip(Item::Cleared(account)),
            // Only `chappe dev` has a clock that can be moved, and it has no neighbours.
            Ok(SandboxNews::Clock(_)) | Err(_) => None,
        },
    }
}

/// What waits right now.
fn waiting(
    changed: &mut Receiver<(AccountId, Option<RequestId>)>,
    news: &mut Receiver<SandboxNews>,
) -> Option<Item> {
    if let Ok((account, request)) = changed.try_recv() {
        return Some(Item::Changed(account, request));
    }
    match news.try_recv() {
        Ok(SandboxNews::Cleared(account)) => Some(Item::Cleared(account)),
        Ok(SandboxNews::Clock(_)) | Err(_) => None,
    }
}

/// What was heard and told on, so that it is not sent back to where it came from. Alike items are interchangeable.
#[derive(Debug, Default)]
struct Echoes(HashMap<Item, usize>);

impl Echoes {
    fn expect(&mut self, item: Item) {
        *self.0.entry(item).or_default() += 1;
    }

    /// The item, unless it is an echo.
    fn strip(&mut self, item: Item) -> Option<Item> {
        let Some(count) = self.0.get_mut(&item) else { return Some(item) };
        *count -= 1;
        if *count == 0 {
            self.0.remove(&item);
        }
        None
    }

    /// Some echoes were missed: none is waited for any more. At worst news go back once to where they came from.
    fn forget(&mut self) {
        self.0.clear();
    }
}

impl Item {
    fn tell(self, app: &App) {
        // Nobody is looking: fine.
        match self {
            Item::Changed(account, request) => drop(app.changed.send((account, request))),
            Item::Cleared(account) => drop(app.sandbox_news.send(SandboxNews::Cleared(account))),
        }
    }

    fn text(self) -> String {
        match self {
            Item::Changed(account, Some(request)) => format!("{}:{request}", account.0),
            Item::Changed(account, None) => format!("account:{}", account.0),
            Item::Cleared(Some(account)) => format!("cleared:{}", account.0),
            Item::Cleared(None) => "cleared:".to_owned(),
        }
    }

    /// Another version's news may be of a kind that is not known here.
    fn parse(text: &str) -> Option<Item> {
        match text.split_once(':')? {
            ("cleared", "") => Some(Item::Cleared(None)),
            ("cleared", account) => Some(Item::Cleared(Some(AccountId(account.parse().ok()?)))),
            ("account", account) => Some(Item::Changed(AccountId(account.parse().ok()?), None)),
            (account, request) => {
                Some(Item::Changed(AccountId(account.parse().ok()?), Some(RequestId::parse(request)?)))
            }
        }
    }
}

/// The items in texts that are short enough, each item once.
fn texts(items: &[Item]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut told = std::collections::HashSet::new();
    for item in items.iter().filter(|item| told.insert(**item)) {
        let text = item.text();
        match texts.last_mut().filter(|last| last.len() + 1 + text.len() <= TEXT_MAX_BYTES) {
            Some(last) => {
                last.push(' ');
                last.push_str(&text);
            }
            None => texts.push(text),
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(number: i64) -> Item {
        Item::Changed(AccountId(100), Some(RequestId::from_number(number).unwrap()))
    }

    #[test]
    fn items_survive_their_text() {
        let whole = Item::Changed(AccountId(100), None);
        let cleared = [Item::Cleared(None), Item::Cleared(Some(AccountId(7)))];
        for item in [changed(222_370_177_540_343), whole].into_iter().chain(cleared) {
            assert_eq!(Item::parse(&item.text()), Some(item));
        }
        for text in ["", "moved:1", "100:1", "x:222370177540343", "cleared", "account:", "account:x"] {
            assert_eq!(Item::parse(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_short_enough_and_tell_each_item_once() {
        let items: Vec<Item> = (0..2_000).map(|at| changed(222_370_177_540_000 + at / 2)).collect();
        let texts = texts(&items);
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= TEXT_MAX_BYTES));
        let told: Vec<Item> = texts.iter().flat_map(|text| text.split(' ')).filter_map(Item::parse).collect();
        assert_eq!(told.len(), 1_000);
    }

    #[test]
    fn an_echo_is_not_told_again() {
        let mut echoes = Echoes::default();
        let item = changed(222_370_177_540_343);
        echoes.expect(item);
        assert_eq!(echoes.strip(item), None);
        assert_eq!(echoes.strip(item), Some(item));
    }
}
