//! The facade as an app uses it.

mod background;
mod cloud;
mod conflicts;
mod repositories;
mod watch;
