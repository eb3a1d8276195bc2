//! What a look at something found, for whoever runs the server.

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is.
    Ok,
    /// It works, and may not be meant like this.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// What was found, as a sentence without its full stop.
    pub what: String,
    /// What to do about it; empty where nothing is to be done.
    pub advice: String,
}

impl Level {
    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

impl Finding {
    /// Something is as it should be.
    pub fn ok(what: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, what: what.into(), advice: String::new() }
    }

    /// Something works, and may not be meant.
    pub fn warn(what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, what: what.into(), advice: advice.into() }
    }

    /// Something does not work.
    pub fn fail(what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, what: what.into(), advice: advice.into() }
    }
}
