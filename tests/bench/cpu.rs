//! How much processor time PostgreSQL and the API have used, read from `/proc`.
//!
//! Wall-clock rates swing with whatever else the machine does; processor time is what others cannot steal.

use std::path::Path;

use anyhow::{Context, Result};

/// `/proc/PID/stat` counts in hundredths of a second, whatever the kernel ticks by.
const TICK_US: f64 = 10_000.0;

/// Returns the microseconds of user and system time of a PostgreSQL server: its postmaster, the backends and workers
/// that live, and those that have ended. Backends in `ignored` do not count.
pub fn server_us(postmaster: u32, ignored: &[u32]) -> f64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children =
        pids.filter(|pid| !ignored.contains(pid) && stat(*pid).is_some_and(|stat| stat.parent == postmaster));
    let living: f64 = children.filter_map(exact_us).sum();
    let ended = stat(postmaster).map_or(0.0, |stat| stat.ended_children_us);
    living + ended + exact_us(postmaster).unwrap_or(0.0)
}

/// Returns the microseconds of user and system time of a process, with all its threads.
pub fn process_us(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |stat| stat.own_us)
}

/// Returns how much memory a process has, in MiB.
pub fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// The time of a process of one thread. `schedstat` says the sum of what `stat` says as user and system time, without
/// rounding it down to hundredths of a second for each of twenty backends.
fn exact_us(pid: u32) -> Option<f64> {
    let exact = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok();
    let nanoseconds = exact.and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).filter(|ns| *ns > 0.0);
    nanoseconds.map(|ns| ns / 1000.0).or_else(|| stat(pid).map(|stat| stat.own_us))
}

struct Stat {
    parent: u32,
    own_us: f64,
    ended_children_us: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name is in brackets and may hold anything; behind the last bracket follow state, parent, …
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own_us: (ticks(11)? + ticks(12)?) * TICK_US,
        ended_children_us: (ticks(13)? + ticks(14)?) * TICK_US,
    })
}
