-- What attempts said about themselves: result data, metrics, summaries. It goes with the runs of its day, not with their logs:
-- it is small, and what a run measured is looked at for as long as the run.
-- Locks: none but those of new tables. The partitions of all days that are there are made.
--
-- The previous release runs on this schema: it writes and removes nothing of this table. What it leaves of runs that it
-- removes goes with the day. It makes and drops days by the functions.

CREATE TABLE output (
    run_id      uuid NOT NULL,
    attempt     smallint NOT NULL,
    data        jsonb NOT NULL,
    metrics     jsonb NOT NULL,
    notes       jsonb NOT NULL,
    summary     text,
    summary_cut boolean NOT NULL,
    CONSTRAINT output_pkey PRIMARY KEY (run_id, attempt)
) PARTITION BY RANGE (run_id);

CREATE OR REPLACE FUNCTION tables_of_runs() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['report_case', 'report', 'judged', 'run', 'run_end', 'attempt', 'run_event', 'log_chunk', 'artifact',
                 'collected', 'output'];

SELECT ensure_partitions(day, day)
FROM (SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'run'::regclass) days;
