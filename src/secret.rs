//! Secrets that the operator sets.

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use std::fmt;

/// A password, token or key of somebody else's service. It is never shown: not in logs, not in errors, not in timelines.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for whoever it is a secret with.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// From a text alone: an error about anything else does not repeat what it found.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Found {
            Text(String),
            Other(IgnoredAny),
        }
        match Found::deserialize(deserializer)? {
            Found::Text(text) => Ok(Secret(text)),
            Found::Other(_) => {
                Err(de::Error::custom("a secret is a text, also one of digits: put it in quotes"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("hunter2", "Secret(…)"));
        for text in ["12345", "1.5", "-7", "[45]", "true"] {
            let error = serde_json::from_str::<Secret>(text).unwrap_err().to_string();
            assert!(error.contains("quotes") && !error.contains(text), "{error}");
        }
    }
}
