//! Room for more runs: while the database has none, new runs are refused; those that are there go on and are recorded.
//!
//! Every replica looks for itself now and then, and acts on what it saw last. It recovers by itself when there is room.

use std::path::PathBuf;
use std::sync::RwLock;
use std::time::Duration;

use tstr_shared::error::ErrorCode;
use tstr_shared::size::Bytes;

use super::Ops;
use crate::auth::access::{Access, System};
use crate::error::{Error, Result};
use crate::store;

/// How much of the limit is taken when a warning is due, in percent.
const WARN_PERCENT: u128 = 90;

/// How large the database may become.
#[derive(Debug, Clone, Default)]
pub struct StorageLimits {
    /// The most bytes that it may take.
    pub max_database_size: Option<Bytes>,
    /// The disk that it lies on, where that is this machine's.
    pub disk: Option<Disk>,
}

/// A disk of this machine.
#[derive(Debug, Clone)]
pub struct Disk {
    /// A folder on it.
    pub path: PathBuf,
    /// So much of it is left free; 512 MiB without it, but at most a tenth of the disk.
    pub min_free: Option<Bytes>,
}

/// How full the database was when it was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fill {
    /// There is room.
    #[default]
    Room,
    /// Nine tenths of what it may take are taken.
    Warn,
    /// There is no room for more runs.
    Full,
}

/// What is known of the room for more runs.
#[derive(Default)]
pub(super) struct Storage {
    limits: RwLock<StorageLimits>,
    seen: RwLock<(Fill, String)>,
}

impl Ops {
    /// Sets how large the database may become.
    pub fn limit_storage(&self, limits: StorageLimits) {
        if let Ok(mut place) = self.0.storage.limits.write() {
            *place = limits;
        }
    }

    /// Looks how large the database is, and whether there is room for more runs.
    pub async fn look_at_storage(&self, access: &Access<System>) -> Result<Fill> {
        let limits = self.0.storage.limits.read().map(|limits| limits.clone()).unwrap_or_default();
        let bytes = {
            let mut conn = self.0.pools.beat.acquire().await?;
            for stored in store::retention::stored(&mut conn, access).await? {
                let (name, files) = (stored.namespace.clone(), stored.artifact_bytes.max(0));
                metrics::gauge!("tstr_namespace_artifact_bytes", "namespace" => name).set(files as f64);
                let (name, logs) = (stored.namespace, stored.log_bytes.max(0));
                metrics::gauge!("tstr_namespace_log_bytes", "namespace" => name).set(logs as f64);
            }
            store::retention::database_bytes(&mut conn, access).await?.unsigned_abs()
        };
        let disk = match limits.disk.clone() {
            Some(disk) => Some(
                tokio::task::spawn_blocking(move || room_on(&disk))
                    .await
                    .map_err(Error::internal)?
                    .map_err(Error::internal)?,
            ),
            None => None,
        };
        metrics::gauge!("tstr_database_bytes").set(bytes as f64);
        let (fill, sentence) = weigh(bytes, limits.max_database_size, disk);
        metrics::gauge!("tstr_storage_full").set(if fill == Fill::Full { 1.0 } else { 0.0 });
        let before = match self.0.storage.seen.write() {
            Ok(mut seen) => std::mem::replace(&mut *seen, (fill, sentence.clone())).0,
            Err(_) => fill,
        };
        match fill {
            Fill::Full => tracing::warn!(bytes, "no new runs are made: {sentence}"),
            Fill::Warn => tracing::warn!(bytes, "soon no new runs will be made: {sentence}"),
            Fill::Room if before != Fill::Room => tracing::info!(bytes, "there is room for new runs again"),
            Fill::Room => {}
        }
        Ok(fill)
    }

    /// Refuses new runs while there is no room for them.
    pub(super) fn check_storage(&self) -> Result<()> {
        let seen = self.0.storage.seen.read().map(|seen| seen.clone()).unwrap_or_default();
        match seen {
            (Fill::Full, sentence) => {
                let sentence = format!("the server has no room for more runs: {sentence}");
                Err(Error::new(ErrorCode::StorageFull, sentence).with_retry_after(Duration::from_secs(30)))
            }
            _ => Ok(()),
        }
    }
}

/// What a disk has free, and how much of that is to stay free.
#[derive(Debug, Clone, Copy)]
struct Room {
    free: u64,
    min_free: u64,
}

fn room_on(disk: &Disk) -> std::io::Result<Room> {
    let seen = rustix::fs::statvfs(&disk.path)?;
    let (free, all) = (seen.f_bavail.saturating_mul(seen.f_frsize), seen.f_blocks.saturating_mul(seen.f_frsize));
    Ok(Room { free, min_free: disk.min_free.map_or_else(|| Bytes::mib(512).0.min(all / 10), |bytes| bytes.0) })
}

/// Says how full a database of this size is, and a sentence about the tighter of its limits.
fn weigh(bytes: u64, max: Option<Bytes>, disk: Option<Room>) -> (Fill, String) {
    // What the disk lets it grow to.
    let grows_to = disk.map(|room| (bytes + room.free).saturating_sub(room.min_free));
    let by_max = max.map(|max| (max.0, format!("the database takes {bytes} of at most {} bytes", max.0)));
    let by_disk = grows_to.zip(disk).map(|(to, room)| {
        (to, format!("the disk of the database has {} bytes free, and {} are to stay so", room.free, room.min_free))
    });
    let Some((limit, sentence)) = by_max.into_iter().chain(by_disk).min_by_key(|(limit, _)| *limit) else {
        return (Fill::Room, String::new());
    };
    let fill = if bytes >= limit {
        Fill::Full
    } else if u128::from(bytes) * 100 >= u128::from(limit) * WARN_PERCENT {
        Fill::Warn
    } else {
        Fill::Room
    };
    (fill, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_tenths_warn_and_the_whole_refuses() {
        let fill = |bytes| weigh(bytes, Some(Bytes(1000)), None).0;
        assert_eq!(
            [0, 899, 900, 999, 1000, 2000].map(fill),
            [Fill::Room, Fill::Room, Fill::Warn, Fill::Warn, Fill::Full, Fill::Full]
        );
        assert_eq!(weigh(u64::MAX / 2, None, None).0, Fill::Room);
    }

    #[test]
    fn the_tighter_limit_speaks() {
        let disk = |free| Some(Room { free, min_free: 100 });
        assert_eq!(weigh(500, Some(Bytes(10_000)), disk(5_000)).0, Fill::Room);
        let (fill, sentence) = weigh(500, Some(Bytes(10_000)), disk(100));
        assert!(fill == Fill::Full && sentence.contains("disk"), "{sentence}");
        let (fill, sentence) = weigh(500, Some(Bytes(500)), disk(5_000));
        assert!(fill == Fill::Full && sentence.contains("at most 500"), "{sentence}");
        // A small database on a full disk: it cannot grow.
        assert_eq!(weigh(500, None, disk(99)).0, Fill::Full);
        assert_eq!(weigh(500, None, disk(150)).0, Fill::Warn);
    }
}
