//! The `chappe` program: parses the command line and dispatches.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    chappe::cli::run(chappe::cli::Cli::parse())
}
