//! The only place with SQL.
//!
//! Rules of the room: a function takes a connection, never a pool, and opens no transaction; a function on a table
//! that belongs to namespaces takes the [`crate::auth::access::Access`] with the permission that it needs and binds
//! its namespaces; queries are checked against the schema when they are compiled; times are the database's.
//!
//! Lock order, where a transaction takes several: namespace advisory lock, `schedule`, `test`, `class`, `config`, `lease`,
//! `ready`, `delayed`, `gated`, `gate`, `blob` by its key, history, `cell`, `case_state`, `case_key`. Retention takes its turn, then the day, then the sum of
//! what is stored; whoever counts sums anew holds the digest's lock, and then the day. Whoever holds a `gate` waits for no row of
//! those before it.

pub mod artifacts;
pub mod beats;
pub mod blobs;
pub mod case_reads;
pub mod causes;
pub mod cells;
pub mod claims;
mod conn;
pub mod dashboard;
pub mod digest;
pub mod elsewhere;
pub mod ends;
pub mod error;
pub mod events;
pub mod explain;
pub mod gates;
pub mod grid;
pub mod housekeeping;
pub mod idempotency;
pub mod keeps;
pub mod ledger;
pub mod log_reads;
pub mod logs;
pub mod memory;
pub mod migrate;
pub mod namespaces;
pub mod orders;
pub mod outages;
pub mod outputs;
pub mod packing;
pub mod quarantine;
pub mod queue;
pub mod reports;
pub mod results;
pub mod retelling;
pub mod retention;
pub mod retries;
pub mod rollups;
pub mod runners;
pub mod runs;
pub mod schedules;
pub mod series;
pub mod sessions;
pub mod testdefs;
pub mod tokens;
pub mod versions;
pub mod views;

use sqlx::types::Json;
use tstr_shared::report::CaseKey;

pub use self::conn::{Apart, Conn, Line, Listener, Listening, Pool, Tx};

/// Asks for plans that know the arguments, so that conditions that are not given cost nothing. In a transaction.
async fn custom_plans(conn: &mut Conn) -> crate::error::Result<()> {
    sqlx::query!("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)").fetch_one(conn).await?;
    Ok(())
}

/// Returns the key of a case from the columns of `case_key`.
fn key_of(
    suite: Json<Vec<String>>,
    classname: Option<String>,
    name: String,
    file: Option<String>,
    own_id: Option<String>,
) -> CaseKey {
    CaseKey { suite: suite.0, classname, name, file, test_id: own_id }
}

/// Takes the lock under which the running, or the queued, runs of a namespace are counted against its quota.
///
/// Held until the transaction ends. Only namespaces with a quota pay for it.
pub async fn lock_quota(conn: &mut Conn, kind: Quota, namespace: i32) -> crate::error::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1, $2)", kind as i32, namespace).execute(conn).await?;
    Ok(())
}

/// What a quota counts; the number is the first key of its advisory lock.
#[derive(Debug, Clone, Copy)]
pub enum Quota {
    /// Runs that are held by runners.
    Running = 7_478_112,
    /// Runs that wait.
    Queued = 7_478_113,
}
