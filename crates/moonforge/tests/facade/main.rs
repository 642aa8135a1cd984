//! The facade as an app uses it.

mod cloud;
mod repositories;
mod watch;
