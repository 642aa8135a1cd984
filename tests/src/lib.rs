//! What the whole-system tests share: the simulation's driver, and devices for tests on the emulator.

pub mod device;
pub mod simulation;
