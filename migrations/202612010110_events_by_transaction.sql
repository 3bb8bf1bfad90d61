-- Events of runs are found by the transaction that wrote them: streams of events read on from where they were, in the one
-- order in which nothing can still come in between (docs/adr/0018-events-are-read-by-transaction.md).
-- Locks: SHARE on `run_event` and its partitions while the index is built, so nothing is written meanwhile; about a second for
-- each million events.

CREATE INDEX run_event_txid_idx ON run_event (txid);

-- Events of transactions from (since, since_id) on, exclusively, and before `before`, in order.
CREATE FUNCTION events_between(since xid8, since_id bigint, before xid8, most int)
    RETURNS TABLE (txid xid8, id bigint, run_id uuid, at timestamptz, state_to text, attempt smallint, result text)
    LANGUAGE plpgsql STABLE
    -- By the index, however few rows the planner thinks there are; and in its order, so that the first rows come without reading
    -- all that lie behind them.
    SET enable_seqscan TO off SET enable_bitmapscan TO off SET enable_sort TO off AS $$
BEGIN
    RETURN QUERY
    SELECT e.txid, e.id, e.run_id, e.at, e.state_to, e.attempt, e.result
    FROM run_event e
    WHERE e.txid >= since AND e.txid < before AND (e.txid > since OR e.id > since_id)
      -- A dump that was restored brings events of transactions that this server has yet to come to.
      AND e.at > clock_timestamp() - interval '25 hours'
    ORDER BY e.txid, e.id
    LIMIT most;
END $$;

-- Whether transactions from this one on have written events that can be seen. Of a dump that was restored there are events of
-- transactions that this server has yet to come to: they are not looked at.
CREATE FUNCTION has_events_from(since xid8) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM run_event e
        WHERE e.txid >= since AND e.txid < pg_snapshot_xmax(pg_current_snapshot())
          AND e.at > clock_timestamp() - interval '25 hours');
END $$;
