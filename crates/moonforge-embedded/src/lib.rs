//! Moonforge's embedded cloud.
