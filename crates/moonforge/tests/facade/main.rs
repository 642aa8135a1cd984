//! The facade as an app uses it.

mod background;
mod cloud;
mod conflicts;
mod operations;
mod reads;
mod repositories;
mod scopes;
mod telemetry;
mod watch;
