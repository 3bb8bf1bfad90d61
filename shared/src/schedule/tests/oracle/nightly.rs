//! The walk around every jump of every zone: minutes long, so that `./scripts/test build faults-all` runs it and the
//! everyday tests do not (`.config/nextest.toml`).
//!
//! How much is compared is bounded: many zones are other names of one, or jump together with another. The first zone
//! of those whose clocks jump alike sees more of the lines.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use super::specs::{Dialect, Dice, by_hand};
use super::*;

/// One of so many lines is compared around a jump that no other zone had yet.
const FIRST_SHARE: usize = 6;
/// One of so many is, around a jump that was seen in another zone.
const AGAIN_SHARE: usize = 60;

#[test]
fn the_walk_agrees_around_every_jump_of_every_zone() {
    let started = Instant::now();
    let night = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let lines: Vec<String> = by_hand().chain(Dice::seeded(night).lines(Dialect::Full, 150)).collect();
    // Until 1972, Liberia's clock was off by seconds, which a walk by minutes cannot see.
    let found = on_all_cores(TZ_VARIANTS.len(), |zone| {
        let zone = TZ_VARIANTS[zone];
        jumps(zone, 1973..2038).into_iter().map(|middle| (zone, middle)).collect()
    });
    let mut seen = BTreeSet::new();
    let offset = |zone: Tz, at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
    let reach = Duration::hours(32);
    let jumps: Vec<_> = found
        .into_iter()
        .map(|(zone, middle)| {
            let is_first = seen.insert((middle, offset(zone, middle - reach), offset(zone, middle + reach)));
            (zone, middle, if is_first { FIRST_SHARE } else { AGAIN_SHARE })
        })
        .collect();
    eprintln!("{} jumps, {} of them different, {:?}", jumps.len(), seen.len(), started.elapsed());
    assert!(jumps.len() > 20_000 && seen.len() > 2_000, "{} jumps, {} different", jumps.len(), seen.len());
    let compared = on_all_cores(jumps.len(), |turn| {
        let (zone, middle, share) = jumps[turn];
        let lines = lines.iter().map(String::as_str).skip(turn % share).step_by(share);
        vec![compare_with_walk(zone, middle, lines)]
    });
    let compared: usize = compared.into_iter().sum();
    eprintln!("{} lines, {compared} instants, {:?}", lines.len(), started.elapsed());
    assert!(compared > 1_000_000, "only {compared} instants were compared");
}

/// Calls `work` with every number below `count`, on as many threads as there are cores, and puts the answers together.
fn on_all_cores<T: Send>(count: usize, work: impl Fn(usize) -> Vec<T> + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let one = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return done;
                }
                done.extend(work(number));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("an oracle's thread found no difference")).collect()
    })
}
