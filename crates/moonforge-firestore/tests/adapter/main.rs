//! The adapter against Google's emulator, and against a network that misbehaves.

mod conformance;
mod support;
