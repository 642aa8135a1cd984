//! The command line as scripts and people use it: the built program, run for each call.

mod bad_calls;
mod bad_files;
mod bad_input;
mod documents;
mod journal;
mod operations;
mod people;
mod resolve;
mod scopes;
mod support;
mod sync;
mod transfer;
#[cfg(unix)]
mod watch;
