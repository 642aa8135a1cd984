//! Tests against Google's Firestore emulator.
