//! The adapter against Google's emulator, and against a network that misbehaves.

mod conformance;
mod documents;
mod faults;
mod network;
mod production;
mod queries;
mod support;
