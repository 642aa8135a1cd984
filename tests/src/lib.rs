//! What the whole-system tests share: the simulation's driver.

pub mod simulation;
