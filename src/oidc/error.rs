//! Why a log-in did not come about.

use crate::env::NoEntropy;

/// Why a log-in did not come about. What it says as a text is for the log; [`OidcError::message`] is for the person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The issuer cannot be reached, or gives no answer that can be read.
    #[error("the issuer gives no answer that can be read: {0}")]
    Unreachable(String),
    /// What the issuer tells of itself cannot be relied on.
    #[error("what the issuer tells of itself cannot be used: {0}")]
    Metadata(&'static str),
    /// The issuer does not take us for its client: a wrong secret, or an address that is not registered with it.
    #[error("the issuer refuses this client: {0}")]
    ClientRefused(String),
    /// As many log-ins are with the issuer as may be at once.
    #[error("too many log-ins are with the issuer at once")]
    Busy,
    /// No randomness to begin with.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The browser brings nothing of a log-in that was begun here, or it is too old.
    #[error("the browser brings no log-in that was begun here lately")]
    Unbegun,
    /// The answer is one to another log-in than that of this browser.
    #[error("the answer belongs to another log-in")]
    StateMismatch,
    /// The address that the browser came back with lacks something, or holds it twice.
    #[error("the answer cannot be read: {0}")]
    BadCallback(&'static str),
    /// The person said no.
    #[error("the person did not agree")]
    Denied,
    /// The issuer did not let the person log in.
    #[error("the issuer refuses this log-in: {0}")]
    Refused(String),
    /// The issuer does not take the code: it was used, or is too old.
    #[error("the issuer does not take the code of this log-in")]
    CodeRefused,
    /// What the issuer says of the person cannot be believed.
    #[error("the ID token is not to be believed: {0}")]
    Token(#[from] TokenFault),
}

/// Why an ID token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not three parts that can be read, or a claim that is not what it must be.
    #[error("it cannot be read")]
    Malformed,
    /// Signed by a method that is not one of ours: `none`, a shared secret, or one that nobody here knows.
    #[error("it is signed by a method that is not accepted")]
    Algorithm,
    /// It has conditions that nobody here knows.
    #[error("it has critical headers that are not known")]
    Critical,
    /// None of the issuer's keys is the one that it names, for the method that it names.
    #[error("none of the issuer's keys is for it")]
    KeyUnknown,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// By somebody else.
    #[error("it is by another issuer")]
    Issuer,
    /// For somebody else, or for somebody else as well.
    #[error("it is for another client")]
    Audience,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// From the future.
    #[error("its time has not come; is this server's clock right?")]
    NotYetValid,
    /// An answer to another log-in.
    #[error("its nonce is another one")]
    Nonce,
    /// It could be an answer to another log-in: it has no nonce, and the issuer does not promise to check the verifier.
    #[error("it has no nonce, and the issuer does not promise to check the code's verifier")]
    NonceMissing,
}

impl OidcError {
    /// What to tell the person, in plain words and with what can be done about it.
    pub fn message(&self) -> &'static str {
        match self {
            OidcError::Unreachable(_) => {
                "Telegram does not answer just now. Try again in a moment, or log in with a code."
            }
            OidcError::Busy => "Many people are logging in with Telegram just now. Try again in a moment.",
            OidcError::Metadata(_) | OidcError::ClientRefused(_) => {
                "Logging in with Telegram is not set up rightly here. Log in with a code, and tell whoever runs this \
                 server."
            }
            OidcError::NoEntropy(_) => "This server cannot begin a log-in just now. Try again in a moment.",
            OidcError::Unbegun => {
                "This log-in was not begun in this browser, or more than ten minutes ago. Please start again."
            }
            OidcError::StateMismatch => {
                "This answer belongs to another log-in, perhaps one in another tab. Please start again."
            }
            OidcError::BadCallback(_) => "What came back from Telegram is not whole. Please start again.",
            OidcError::Denied => {
                "You did not let Telegram tell who you are. Start again if you want to, or log in with a code."
            }
            OidcError::Refused(_) => "Telegram did not let you log in. Start again, or log in with a code.",
            OidcError::CodeRefused => "For Telegram, this log-in is used up or too old. Please start again.",
            OidcError::Token(_) => {
                "What Telegram says of you could not be verified. Start again; if that does not help, log in with a \
                 code, and tell whoever runs this server."
            }
        }
    }

    /// Whether this is of the person's doing, and so nothing that the operator could mend.
    pub(super) fn is_of_the_person(&self) -> bool {
        matches!(
            self,
            OidcError::Unbegun
                | OidcError::StateMismatch
                | OidcError::BadCallback(_)
                | OidcError::Denied
                | OidcError::CodeRefused
        )
    }
}
