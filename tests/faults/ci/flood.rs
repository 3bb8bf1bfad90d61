//! Output without end: memory stays bounded, and every byte is stored or counted.

use std::time::{Duration, Instant};

use serde_json::json;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory::with;

use super::containers::loud;

const LIMIT: usize = 128 << 20;
/// How long a run may take that writes so much, from its trigger to its end.
const WITHIN: Duration = Duration::from_secs(60);
/// The most memory that a worker or a replica may ever have had, in KiB.
pub const MOST_KIB: u64 = 128 << 10;

/// Returns the most memory that a process ever had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Finds the program behind `setpriv`, which execs it: the process is the one that was started.
pub fn peaks(arena: &mut Arena) -> Vec<(String, u64)> {
    let mut found = vec![("the worker".to_owned(), peak(arena.posts[0].runner().process.pid()))];
    for (index, replica) in arena.replicas.iter().flatten().enumerate() {
        found.push((format!("replica {index}"), peak(replica.process.pid())));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_a_flood_of_200_mb_is_stored_to_its_limit_and_counted_beyond_it_in_bounded_memory() {
    flood(200_000_000).await;
}

/// Lets a container write so many bytes, of which [`LIMIT`] are kept.
pub async fn flood(bytes: usize) {
    let mut arena = Arena::start(Plan::short(1, 1)).await;
    let flood = loud("flood", &format!("yes 0123456789abcdef | head -c {bytes}; exit 5"), bytes);
    let flood = with(flood, "/run_config/timeout", json!("5m"));
    arena.driver.register(&with(flood, "/limits/log", json!("128MiB"))).await;
    let began = Instant::now();
    let run = arena.driver.trigger("flood", "flood").await;
    arena.settle(WITHIN).await;
    let took = began.elapsed();
    let story = arena.story(run).await;
    let attempt = &story["attempts"][0];
    assert_eq!(
        (&story["result"], &attempt["exit_code"], &attempt["log"]),
        (&json!("fail"), &json!(5), &json!("truncated")),
        "{story}"
    );
    let (stored, dropped) = (attempt["stdout"].as_u64().unwrap(), attempt["dropped"].as_u64().unwrap());
    assert_eq!(stored + dropped, bytes as u64, "{story}");
    assert!(stored <= LIMIT as u64 && stored > LIMIT as u64 - (1 << 20), "{stored} bytes are stored of {LIMIT}");
    // The end is there as well, behind one cut; what the container says of itself is in the beginning too.
    let offset = attempt["cuts"][0]["offset"].as_u64().unwrap();
    assert_eq!(attempt["cuts"], json!([{"stream": "stdout", "offset": offset, "bytes": dropped}]), "{story}");
    let head = LIMIT as u64 - (4 << 20);
    assert!(offset <= head && offset > head - 1024, "the beginning has {offset} bytes, of {head}");
    let peaks = peaks(&mut arena);
    eprintln!("{took:?}; at most {peaks:?} KiB of memory");
    for (who, kib) in peaks {
        assert!(kib < MOST_KIB, "{who} had {kib} KiB of memory");
    }
    arena.finish(Duration::from_secs(10)).await;
}
