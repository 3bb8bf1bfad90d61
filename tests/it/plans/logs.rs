//! A part of a log costs what the part costs, however long the log is.

use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tstr_api::ops::logs::LogQuery;
use tstr_shared::logs::{Stream, TailLines};
use tstr_tests::Lab;

use super::explain::{MODES, explain, query};

/// Pieces of the log, of 50 lines each: a million lines. The first three are of the standard error.
const PIECES: u64 = 20_000;
const FIRST: u64 = 3;

fn piece() -> String {
    (1..=50).map(|n| format!("line {n} of a log\n")).collect()
}

#[tokio::test]
async fn the_end_and_a_range_of_a_log_of_a_million_lines_touch_nothing_else_of_it() {
    let lab = Lab::start().await;
    let run = lab.run_of(&[]).await;
    lab.worker("w").await.started().await;
    let mut own = lab.db.connect().await;
    let (body, length) = (piece(), piece().len() as u64);
    let seed = format!(
        "INSERT INTO log_chunk (run_id, attempt, seq, stream, start, reported_at, body, place)
         SELECT '{run}', 1, n, CASE WHEN n < {FIRST} THEN 2 ELSE 1 END,
                {length} * CASE WHEN n < {FIRST} THEN n ELSE n - {FIRST} END, now(), '{body}', {length} * n
         FROM generate_series(0, {PIECES} - 1) n;
         VACUUM ANALYZE log_chunk"
    );
    for statement in seed.split(';') {
        own.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    }
    let (id, last, middle) = (format!("'{run}'"), (PIECES * length - 1).to_string(), (PIECES * length / 2).to_string());
    let find = query(&["WITH RECURSIVE step(low, high)"]);
    let find_in_stream = query(&["k.start <= $4 + coalesce"]);
    let back = query(&["seq < $3", "ORDER BY seq DESC"]);
    let stream_back = query(&["start < $4", "ORDER BY start DESC"]);
    let size = query(&["FROM log_chunk k", "last.stored"]);
    let forth = query(&["seq > $3", "ORDER BY seq\n"]);
    let stream_forth = query(&["start >= $4", "ORDER BY start\n"]);
    let (most, pkey, start_key) = (i32::MAX.to_string(), "log_chunk_pkey", "log_chunk_start_key");
    let sixteen_before_the_last = (PIECES - 17).to_string();
    for mode in MODES {
        // A search halves fifteen times; an index is three pages deep, and the row is one more.
        for (what, index, pages, arguments) in [
            (&find, pkey, 100, &[&id, "1", &last][..]),
            (&find, pkey, 100, &[&id, "1", &middle]),
            (&find_in_stream, start_key, 16, &[&id, "1", "1", &last]),
            (&find_in_stream, start_key, 16, &[&id, "1", "1", &middle]),
            (&size, start_key, 16, &[&id, "1", "NULL"]),
            (&back, pkey, 24, &[&id, "1", &most, "16"]),
            (&stream_back, start_key, 24, &[&id, "1", "1", &last, "16"]),
            // What the other stream wrote behind it is passed over.
            (&stream_back, start_key, 16, &[&id, "1", "2", &last, "16"]),
            (&stream_forth, start_key, 16, &[&id, "1", "2", "0", "16"]),
            (&forth, pkey, 24, &[&id, "1", &sixteen_before_the_last, "NULL", "16"]),
        ] {
            let plan = explain(&mut own, what, arguments, mode).await;
            plan.reads_only_by("log_chunk", index);
            plan.has_no("Seq Scan");
            plan.touches_at_most(pages);
            assert!(plan.rows_of("log_chunk") <= 32.0, "{} rows were read:\n{plan}", plan.rows_of("log_chunk"));
        }
    }

    // And they are the end, and the range.
    let tail = async |stream, lines| {
        let query = LogQuery { stream, tail: TailLines::try_from(lines).ok(), ..LogQuery::default() };
        let pieces: Vec<_> = lab.ops().read_logs(&lab.admin, run, query).await.unwrap().try_collect().await.unwrap();
        pieces.iter().map(|piece| String::from_utf8(piece.data.to_vec()).unwrap()).collect::<String>()
    };
    assert_eq!(tail(None, 2).await, "line 49 of a log\nline 50 of a log\n");
    assert_eq!(tail(None, 10_000).await, piece().repeat(200));
    assert_eq!(tail(Some(Stream::Stderr), 10_000).await, piece().repeat(3));
    for (stream, size) in [(None, PIECES * length), (Some(Stream::Stdout), (PIECES - FIRST) * length)] {
        for start in [0, 1, size / 2 - 1, size / 3, size - 100] {
            let range = start..start + 100;
            let parts = lab.ops().read_log_bytes(&lab.admin, run, 1, stream, range).await.unwrap();
            let told: Vec<_> = parts.try_collect().await.unwrap();
            let at = (start % length) as usize;
            assert_eq!(told.concat(), &body.repeat(2).as_bytes()[at..at + 100], "{stream:?} {start}");
        }
    }
}

/// Counts the partitions of `log_chunk` that this connection's transaction has locked, and those that there are.
async fn days_locked(conn: &mut PgConnection) -> (i64, i64) {
    let count = "SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM pg_locks l
                     WHERE l.pid = pg_backend_pid() AND l.relation = i.inhrelid)), count(*)
                 FROM pg_inherits i WHERE i.inhparent = 'log_chunk'::regclass";
    sqlx::query_as(count).fetch_one(conn).await.unwrap()
}

/// An append by what the replica remembers, and an end with a seal, name no partition: they lock the one that they write
/// to, or none.
#[tokio::test]
async fn appends_and_sealed_ends_lock_one_day_however_many_are_kept() {
    let lab = Lab::start().await;
    let run = lab.run_of(&[]).await;
    let worker = lab.worker("w").await;
    let fence = worker.started().await;
    for (seq, offset) in [(0, 0), (1, 3)] {
        worker.append(fence, seq, Stream::Stdout, offset, "abc").await.unwrap();
    }
    // The settings of a connection decide the plan, so it must be one of those that serve requests.
    let mut conn = lab.pools(0).main.acquire().await.unwrap();
    let conn = conn.raw();
    let append = query(&["INSERT INTO log_chunk", "held AS MATERIALIZED"]);
    conn.execute(AssertSqlSafe(format!("PREPARE append AS {append}"))).await.unwrap();
    // On another timeline the last pieces that are remembered may be missing: nothing is stored behind them.
    for (timeline, stored) in [("'00000009'", 0), ("left(pg_walfile_name(pg_current_wal_lsn()), 8)", 1), ("NULL", 1)] {
        let arguments = format!(
            "'{run}', 1, '{{2}}', '{{1}}', '{{6}}', '{{2026-11-30}}', '{{abc}}', '{{null}}', '{{6}}', '{{null}}',
             '{{null}}', '{{null}}', 1, '{}', '{}', '{{1}}', '{}', {timeline}",
            fence.lease_id,
            worker.id,
            worker.caller.token_id()
        );
        conn.execute(AssertSqlSafe(format!("BEGIN; EXECUTE append({arguments})"))).await.unwrap();
        let (locked, days) = days_locked(conn).await;
        let pieces: i64 =
            sqlx::query_scalar("SELECT count(*) FROM log_chunk WHERE seq = 2").fetch_one(&mut *conn).await.unwrap();
        conn.execute("ROLLBACK").await.unwrap();
        assert_eq!((locked, pieces), (stored, stored), "{timeline}, of {days} days");
        assert!(days > 2, "{days} days");
    }
    let close = query(&["jsonb_to_recordset"]);
    conn.execute(AssertSqlSafe(format!("PREPARE close AS {close}"))).await.unwrap();
    for (sealed, ends_one) in [(true, true), (false, false)] {
        let seal = json!({"stdout_bytes": 6, "stdout_dropped": 0, "stderr_bytes": 0, "stderr_dropped": 0});
        let mut asked = json!({
            "run_id": run, "attempt": 1, "lease_id": fence.lease_id, "kind": "outcome", "result": "pass",
            "log_status": "complete"
        });
        if sealed {
            asked.as_object_mut().unwrap().extend(seal.as_object().unwrap().clone());
        }
        let end = format!("BEGIN; EXECUTE close('[{asked}]', ARRAY[1], interval '0', interval '10 s', 'x')");
        conn.execute(AssertSqlSafe(end)).await.unwrap();
        let (locked, days) = days_locked(conn).await;
        let bytes: i64 = sqlx::query_scalar("SELECT log_bytes FROM run_end WHERE run_id = $1")
            .bind(run.0)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        conn.execute("ROLLBACK").await.unwrap();
        assert_eq!((bytes, locked == 0), (6, ends_one), "{locked} of {days} days");
    }
    conn.execute("DEALLOCATE append; DEALLOCATE close").await.unwrap();
}
