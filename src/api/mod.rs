//! The Gateway API: a request becomes a command, its outcome an answer. Nothing here knows the database.

mod answer;
mod callbacks;
mod methods;
mod params;
mod router;

pub use answer::{Answer, Refusal};
pub use methods::Method;
pub use router::{handle, router};
