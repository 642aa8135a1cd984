//! The facade as an app uses it.

mod background;
mod cloud;
mod repositories;
mod watch;
