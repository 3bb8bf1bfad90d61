//! The disk of a worker that fills up under the logs of its runs.

use std::time::Duration;

use serde_json::json;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory::witness;
use tstr_tests::room::{Room, by_root};

use super::containers::loud;

const FLOOD: u64 = 20_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_20_a_full_disk_costs_a_part_of_a_log_and_no_run_and_nothing_new_is_taken() {
    if by_root(row_20_a_full_disk_costs_a_part_of_a_log_and_no_run_and_nothing_new_is_taken) {
        return;
    }
    let (room, mut arena) = (Room::open(), Arena::prepare(Plan::short(1, 2)).await);
    let spool = arena.posts[0].make_dir("spool");
    room.tmpfs(&spool, 8);
    arena.posts[0].site.behind = room.with_disks();
    arena.start_workers().await;
    // More at once than there is room for; then it goes on with its work.
    let flood = format!("head -c {FLOOD} /dev/zero | tr '\\0' x; sleep 5; exit 3");
    arena.driver.register(&loud("flood", &flood, FLOOD as usize)).await;
    arena.driver.register(&witness("next", "true")).await;
    let flood = arena.driver.trigger("flood", "flood").await;
    arena.held_by(flood).await;
    arena.says_unfit(0, Some("disk_low")).await;
    let next = arena.driver.trigger("next", "next").await;
    let told = arena.admin().get(&format!("/api/v1/runs/{next}/explain")).await.expect(200);
    assert_eq!(told["reasons"][0]["why"], "no_live_runner", "{told}");
    assert_eq!(told["waiting"]["runners"][0]["verdict"], "disk_low", "{told}");
    arena.settle(Duration::from_secs(30)).await;
    let (story, other) = (arena.story(flood).await, arena.story(next).await);
    let attempt = &story["attempts"][0];
    assert_eq!((&story["result"], &attempt["exit_code"]), (&json!("fail"), &json!(3)), "{story}");
    assert_eq!((&story["attempt"], &attempt["log"]), (&json!(1), &json!("incomplete")), "{story}");
    let (stored, dropped) = (attempt["stdout"].as_u64().unwrap(), attempt["dropped"].as_u64().unwrap());
    assert_eq!(stored + dropped, FLOOD, "what the container wrote is accounted for: {story}");
    assert!((6 << 20..8 << 20).contains(&stored), "{stored} bytes are stored of a disk of 8 MiB");
    // The slot was free all the time; the disk was only when the flood had ended.
    assert_eq!((&other["result"], &other["attempt"]), (&json!("pass"), &json!(1)), "{other}");
    let after = format!(
        "SELECT to_jsonb(n.leased_at > f.started_at + interval '5 seconds')
         FROM attempt n, attempt f WHERE n.run_id = '{next}' AND f.run_id = '{flood}'"
    );
    assert_eq!(arena.value(&after).await, true, "nothing was taken while the disk was full");
    arena.says_unfit(0, None).await;
    arena.finish(Duration::from_secs(10)).await;
}
