//! The engine against a simulated Firestore: one test a sentence of the protocol that the seeds of the simulation rarely
//! reach.

mod copies;
mod counting;
mod echo;
mod flight;
mod hostile;
mod maps;
mod operations;
mod polls;
mod purge;
mod random_policies;
mod resolver;
mod scopes;
mod scopes_within;
mod sight;
mod stuck;
mod support;
