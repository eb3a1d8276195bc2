//! The `chappe` program: parses the command line and dispatches.

use clap::Parser;
use std::process::ExitCode;

/// Every call allocates a little on one thread and frees it on another; this allocator is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chappe::cli::run(chappe::cli::Cli::parse())
}
