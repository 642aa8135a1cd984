//! A Firestore in memory that behaves as the real one was measured to, and obeys a driver.
