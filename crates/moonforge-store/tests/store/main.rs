//! The local store, through its public calls and, where damage is wanted, SQL of the tests' own.

mod backup;
mod cascade;
mod cleanup;
mod discard;
mod doctor;
mod joining;
mod journal;
mod migrate;
mod open;
mod operations;
mod pages;
mod query;
mod resolve;
mod room;
mod scopes;
mod stale;
mod support;
mod unreadable;
mod watch;
mod write;
