-- Runs that have ended and were not looked at since: whoever sums runs up, or learns from them, is told of each exactly once.
-- A row is written by the statement that writes the end, and removed by the transaction that has taken it in. Like changes of
-- what is stored, rows are read from a mark on, so that dead ones are not walked over again while an old transaction holds them.
-- No check and no key: docs/adr/0014-checks-of-hot-tables-belong-to-the-tests.md, docs/adr/0016-rollups.md.
-- Locks: none that anybody waits for.
--
-- The previous release ends runs without a row; a rebuild takes them in.

CREATE TABLE undigested (
    run_id uuid NOT NULL,
    txid   xid8 NOT NULL DEFAULT pg_current_xact_id()
)
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX undigested_txid_idx ON undigested (txid);

-- Everything of a transaction before this one is taken in.
CREATE TABLE digested (
    the_only_row boolean NOT NULL DEFAULT true,
    before       xid8 NOT NULL,
    CONSTRAINT digested_pkey PRIMARY KEY (the_only_row),
    CONSTRAINT digested_row_check CHECK (the_only_row)
);
INSERT INTO digested (before) VALUES ('0');

-- From which transaction on rows may be there. A dump that was restored brings a number from a server whose transactions had
-- come further.
CREATE FUNCTION digested_before() RETURNS xid8
    LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN before <= pg_snapshot_xmin(pg_current_snapshot()) THEN before ELSE '0' END FROM digested
$$;

-- Takes up to so many ended runs out, the oldest transactions first. One at a time: none where another is at it.
CREATE FUNCTION take_undigested(most int) RETURNS SETOF uuid
    LANGUAGE plpgsql
    -- By the index, however few rows the planner thinks there are.
    SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
DECLARE
    since xid8;
    ended xid8;
    last  xid8;
    taken uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(7478111, 5) THEN
        RETURN;
    END IF;
    -- All transactions before this one have ended, so the statement after this one sees all that they wrote.
    SELECT digested_before(), pg_snapshot_xmin(pg_current_snapshot()) INTO since, ended;
    WITH gone AS (
        DELETE FROM undigested
        WHERE ctid = ANY(ARRAY(SELECT u.ctid FROM undigested u WHERE u.txid >= since ORDER BY u.txid LIMIT most))
        RETURNING run_id, txid
    )
    SELECT array_agg(run_id), max(txid) INTO taken, last FROM gone;
    -- Where some are left, they are of the last transaction that was taken or of later ones.
    UPDATE digested d SET before = CASE WHEN cardinality(taken) >= most THEN least(last, ended) ELSE ended END
    WHERE taken IS NOT NULL OR d.before > ended;
    RETURN QUERY SELECT unnest(taken);
END $$;

-- The ended runs that are not taken in; in the snapshot of the statement that asks.
CREATE FUNCTION undigested_runs(most int) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
BEGIN
    RETURN QUERY SELECT u.run_id FROM undigested u WHERE u.txid >= digested_before() ORDER BY u.txid LIMIT most;
END $$;
