//! Tests against Google's Firestore emulator; without one they say so and pass, unless
//! `MOONFORGE_REQUIRE_EMULATORS=1`.

mod rules;
mod rules_children;
mod rules_indexes;
mod rules_members;
mod rules_reads;
mod rules_roles;
mod rules_writes;
