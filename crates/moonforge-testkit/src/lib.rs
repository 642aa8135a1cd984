//! Test tools for Moonforge and for apps built on it; never a dependency of shipped code.

pub mod clock;
pub mod conformance;
pub mod emulator;
pub mod proxy;
pub mod random;
pub mod simulated;
