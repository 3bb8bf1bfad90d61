-- What is stored is added up from where the last time ended. Rows that were added up are dead, and stay where they are
-- while an old transaction holds them; whoever read the table walked over all of them, so that an hour of a forgotten
-- transaction made each look at a quota a scan of millions of rows.
-- Locks: `usage_delta` (ACCESS EXCLUSIVE) while it is rewritten, which has the rows of a few seconds.
--
-- The previous release writes rows with their default, and reads all of them.

-- Everything of a transaction before this one is added up.
CREATE TABLE usage_folded (
    the_only_row boolean NOT NULL DEFAULT true,
    before       xid8 NOT NULL,
    CONSTRAINT usage_folded_pkey PRIMARY KEY (the_only_row),
    CONSTRAINT usage_folded_row_check CHECK (the_only_row)
);
INSERT INTO usage_folded (before) VALUES ('0');

ALTER TABLE usage_delta ADD COLUMN txid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX usage_delta_txid_idx ON usage_delta (txid);

-- From which transaction on rows may not be added up. A dump that was restored brings a number from a server whose
-- transactions had come further.
CREATE FUNCTION usage_folded_before() RETURNS xid8
    LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN before <= pg_snapshot_xmin(pg_current_snapshot()) THEN before ELSE '0' END FROM usage_folded
$$;

-- Adds the changes up; tells how many. One at a time: whoever removes a day must find all of them.
CREATE OR REPLACE FUNCTION fold_usage(wait boolean) RETURNS bigint
    LANGUAGE plpgsql
    -- By the index, however few rows the planner thinks there are.
    SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
DECLARE
    folded bigint;
    since xid8;
    ended xid8;
BEGIN
    IF wait THEN
        PERFORM pg_advisory_xact_lock(7478111, 2);
    ELSIF NOT pg_try_advisory_xact_lock(7478111, 2) THEN
        RETURN 0;
    END IF;
    -- All transactions before this one have ended, so the statement after this one sees all that they wrote.
    SELECT usage_folded_before(), pg_snapshot_xmin(pg_current_snapshot()) INTO since, ended;
    WITH gone AS (
        DELETE FROM usage_delta WHERE txid >= since RETURNING ns_id, day, runs, log_bytes
    ),
    added AS (
        INSERT INTO usage AS u (ns_id, day, runs, log_bytes)
        SELECT ns_id, day, sum(runs), sum(log_bytes) FROM gone GROUP BY ns_id, day
        ON CONFLICT (ns_id, day) DO UPDATE
        SET runs = u.runs + excluded.runs, log_bytes = u.log_bytes + excluded.log_bytes,
            -- A run of the day may have ended after all others: there is something to be removed again.
            logs_swept = u.logs_swept AND excluded.log_bytes <= 0
    )
    SELECT count(*) INTO folded FROM gone;
    -- After a restore into another server the mark may be of another count of transactions: then it is set as well.
    UPDATE usage_folded SET before = ended WHERE folded > 0 OR before > ended;
    RETURN folded;
END $$;

-- The changes that are not added up, of these namespaces; in the snapshot of the statement that asks.
CREATE FUNCTION unfolded_usage(namespaces int[]) RETURNS TABLE (ns_id int, runs bigint, log_bytes bigint)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
BEGIN
    RETURN QUERY SELECT d.ns_id, d.runs, d.log_bytes
                 FROM usage_delta d
                 WHERE d.txid >= usage_folded_before() AND d.ns_id = ANY(namespaces);
END $$;
