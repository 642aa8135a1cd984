//! Moonforge over Firestore's REST API v1.
