#![cfg(feature = "simulation")]
#[test]
fn seeds() {}
