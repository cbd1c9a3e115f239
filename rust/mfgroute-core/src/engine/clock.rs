//! Time and chance, both injected.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What time it is, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back: timers.
    pub steady_ms: u64,
    /// Milliseconds since 1970: what people read. No decision rests on it.
    pub wall_ms: u64,
}

/// Where the engine gets its time from.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> Now;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { steady_ms: self.0.elapsed().as_millis() as u64, wall_ms: wall.as_millis() as u64 }
    }
}

/// A small generator for jitter and hash keys (splitmix64); not for secrets that leave the process.
#[derive(Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `max`, both included.
    pub(super) fn up_to(&mut self, max: u64) -> u64 {
        self.draw() % max.saturating_add(1).max(1)
    }
}
