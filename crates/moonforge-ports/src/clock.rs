//! Time and chance, injected.

use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::Timestamp;

/// The device's clock, which may be wrong, and a monotonic one, which only measures spans.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// What the device's wall clock says.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> Duration;

    /// Returns after `span` of monotonic time.
    async fn sleep(&self, span: Duration);
}

/// A source of random bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// What is built from random bytes.
pub trait RandomExt: Random {
    /// A number of 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// 32 hexadecimal digits of 128 random bits.
    fn hex128(&self) -> String {
        format!("{:016x}{:016x}", self.next_u64(), self.next_u64())
    }

    /// A number in `0.0..1.0`.
    fn unit(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl<R: Random + ?Sized> RandomExt for R {}
