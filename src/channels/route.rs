//! Which numbers go through which channels.

use chappe_core::prefix::{ByPrefix, InvalidPrefix};
use chappe_core::text::ChannelName;
use chappe_core::{Hop, Phone};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most hops of a route: more than anybody waits for.
const HOPS_MAX: usize = 8;

/// The route of every number, by prefix.
#[derive(Clone, Debug)]
pub struct Routes(ByPrefix<Line>);

/// Where the messages of a prefix go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// To nobody: these numbers are unreachable.
    Nowhere,
    /// To the sandbox alone, with its magic numbers.
    Sandbox,
    /// Through these channels, one after the other.
    Hops(Arc<[Hop]>),
}

/// Hops that make no route, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoute {
    /// A hop that is none.
    #[error(
        "{0:?} is no hop: write a channel, such as \"sms\", or a channel and its wait in seconds, such as \"bot:30\""
    )]
    Hop(String),
    /// Too many of them.
    #[error("a route has {HOPS_MAX} hops at most")]
    TooLong,
    /// A prefix that is none.
    #[error("among the routes, {0}")]
    Prefix(#[from] InvalidPrefix),
    /// A wait after which nothing comes.
    #[error("the last hop {0:?} cannot have a wait: nothing comes after it")]
    LastWait(String),
}

impl Line {
    /// Reads the hops of a route. None, or the single hop `none`, is nowhere.
    pub fn parse<T: AsRef<str>>(hops: &[T]) -> Result<Line, InvalidRoute> {
        let texts: Vec<&str> = hops.iter().map(AsRef::as_ref).collect();
        match texts.as_slice() {
            [] | ["none"] => return Ok(Line::Nowhere),
            ["sandbox"] => return Ok(Line::Sandbox),
            _ => {}
        }
        let hop = |text: &&str| {
            let hop = Hop::parse(text).filter(|hop| hop.channel.as_str() != "none");
            hop.ok_or_else(|| InvalidRoute::Hop((*text).to_owned()))
        };
        let hops = texts.iter().map(hop).collect::<Result<Arc<[Hop]>, _>>()?;
        match hops.last() {
            _ if hops.len() > HOPS_MAX => Err(InvalidRoute::TooLong),
            Some(last) if last.wait.is_some() => Err(InvalidRoute::LastWait(last.to_string())),
            _ => Ok(Line::Hops(hops)),
        }
    }

    /// The channels that it goes through.
    pub fn channels(&self) -> Vec<ChannelName> {
        match self {
            Line::Nowhere => Vec::new(),
            Line::Sandbox => vec![ChannelName::sandbox()],
            Line::Hops(hops) => hops.iter().map(|hop| hop.channel.clone()).collect(),
        }
    }
}

impl Routes {
    /// Every number to the sandbox.
    pub fn sandbox() -> Routes {
        Routes::all(Line::Sandbox)
    }

    /// No number anywhere.
    pub fn none() -> Routes {
        Routes::all(Line::Nowhere)
    }

    /// Every number the same way.
    pub fn all(line: Line) -> Routes {
        Routes(ByPrefix::everywhere(line))
    }

    /// A route for every number, and exceptions by prefix.
    pub fn new(default: Line, by_prefix: BTreeMap<String, Line>) -> Result<Routes, InvalidRoute> {
        Ok(Routes(ByPrefix::new(default, by_prefix)?))
    }

    /// Where messages to a number go.
    pub fn line(&self, phone: Phone) -> &Line {
        self.0.of(phone)
    }

    /// Where messages to a number go, and by which prefix; the empty one for the default.
    pub fn entry(&self, phone: Phone) -> (&str, &Line) {
        self.0.entry(phone)
    }

    /// Every line, each with its prefix; the default first, with the empty one.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Line)> {
        self.0.entries()
    }

    /// Whether messages reach nobody at all.
    pub fn lead_nowhere(&self) -> bool {
        self.0.values().all(|line| *line == Line::Nowhere)
    }

    /// Whether messages of live accounts may end in the sandbox.
    pub fn lead_to_sandbox(&self) -> bool {
        self.0.values().any(|line| line.channels().iter().any(ChannelName::is_sandbox))
    }

    /// Every channel that is named.
    pub fn channels(&self) -> Vec<ChannelName> {
        let mut channels: Vec<_> = self.0.values().flat_map(Line::channels).collect();
        channels.sort();
        channels.dedup();
        channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_its_hops() {
        assert_eq!(Line::parse::<&str>(&[]), Ok(Line::Nowhere));
        assert_eq!(Line::parse(&["none"]), Ok(Line::Nowhere));
        assert_eq!(Line::parse(&["sandbox"]), Ok(Line::Sandbox));
        let Ok(Line::Hops(hops)) = Line::parse(&["bot:30", "sms"]) else { panic!("two hops") };
        assert_eq!(hops.iter().map(Hop::to_string).collect::<Vec<_>>(), ["bot:30", "sms"]);
        assert!(matches!(Line::parse(&["bot", "none"]), Err(InvalidRoute::Hop(_))));
        assert!(matches!(Line::parse(&["bot 30s", "sms"]), Err(InvalidRoute::Hop(_))));
        assert_eq!(Line::parse(&["bot", "sms:5"]), Err(InvalidRoute::LastWait("sms:5".to_owned())));
        assert_eq!(Line::parse(&["a"; 9]), Err(InvalidRoute::TooLong));
    }
}
