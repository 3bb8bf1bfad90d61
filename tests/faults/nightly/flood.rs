//! A gigabyte of output; the same with less is a row that every change must pass.

use crate::ci::flood::flood;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_a_flood_of_1_gb_is_stored_to_its_limit_and_counted_beyond_it_in_bounded_memory() {
    flood(1_000_000_000).await;
}
