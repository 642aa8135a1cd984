//! Tests against Google's Firestore emulator; without one they say so and pass, unless
//! `MOONFORGE_REQUIRE_EMULATORS=1`.
//!
//! `rules*` send plain HTTP to `firebase/firestore.rules`. All else is scenarios: people at devices, under those rules,
//! each scenario through the library and through the command line. Those that the weather doesn't change are also played
//! with an edit made while a commit is under way, and with the answer to a commit lost.

#[macro_use]
mod scenario;

mod answers;
mod arrivals;
mod at_once;
mod bad_cloud;
mod copies;
mod deletes;
mod edits;
mod failures;
mod faults;
mod membership;
mod parking;
mod processes;
mod real;
mod rules;
mod rules_children;
mod rules_edited;
mod rules_indexes;
mod rules_members;
mod rules_reads;
mod rules_roles;
mod rules_writes;
mod scopes;
mod values;
