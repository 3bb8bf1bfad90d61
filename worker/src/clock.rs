//! The clock that leases are kept by.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Tells how long it is since some fixed instant.
///
/// Leases go by the time since boot, which goes on while the machine is suspended: a worker that slept must not
/// believe in a lease that others saw expire.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// Makes the clock that counts from the machine's boot.
    pub fn boottime() -> Self {
        Self(Arc::new(|| {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
        }))
    }

    /// Makes a clock that shows what it is told to.
    #[cfg(test)]
    pub fn by(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Makes a clock that follows the runtime's own time, which tests can stop.
    #[cfg(test)]
    pub fn tokio() -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || origin.elapsed()))
    }

    /// Returns the time.
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}
