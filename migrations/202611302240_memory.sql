-- What is remembered of cells and of cases between runs: which are flaky or broken, and since when a case fails.
-- Locks: none that others want. The partitions of all days that are there are made.
--
-- The previous release runs on this schema; what ends by it is not remembered.

-- The recent runs of a cell, packed; apart from the cell, which is read for lists.
CREATE TABLE cell_window (
    cell_id int NOT NULL,
    runs    bytea NOT NULL,
    CONSTRAINT cell_window_pkey PRIMARY KEY (cell_id)
);
ALTER TABLE cell_window ALTER COLUMN runs SET STORAGE EXTERNAL;

-- How far the memory of the cases of a cell goes; apart from the cell, so that whoever carries it on holds nobody up.
CREATE TABLE cell_memory (
    cell_id  int NOT NULL,
    told_at  timestamptz NOT NULL,
    told_run uuid NOT NULL,
    CONSTRAINT cell_memory_pkey PRIMARY KEY (cell_id)
);

-- A case in a cell: where it stands, and since when.
CREATE TABLE case_state (
    cell_id           int NOT NULL,
    case_id           uuid NOT NULL,
    standing          text NOT NULL,
    first_seen_at     timestamptz NOT NULL,
    first_seen_run    uuid NOT NULL,
    last_seen_at      timestamptz NOT NULL,
    last_seen_run     uuid NOT NULL,
    -- Null where it was never executed.
    fails             boolean,
    since_at          timestamptz,
    since_run         uuid,
    since_runs        int,
    absent_at         timestamptz,
    absent_run        uuid,
    absent_runs       int,
    complete_absences int NOT NULL DEFAULT 0,
    last_pass_at      timestamptz,
    last_pass_run     uuid,
    last_fail_at      timestamptz,
    last_fail_run     uuid,
    duration_ms       bigint,
    status            text NOT NULL DEFAULT 'healthy',
    label             text NOT NULL DEFAULT 'healthy',
    changed_at        timestamptz,
    findings          jsonb,
    CONSTRAINT case_state_pkey PRIMARY KEY (cell_id, case_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX case_state_case_idx ON case_state (case_id);

-- What a run changed: cases that fail, and those that were mended, are missing or were removed.
CREATE TABLE standing (
    run_id       uuid NOT NULL,
    case_id      uuid NOT NULL,
    standing     text NOT NULL,
    since_at     timestamptz,
    since_run    uuid,
    since_runs   int,
    failed_at    timestamptz,
    failed_run   uuid,
    failed_runs  int,
    CONSTRAINT standing_pkey PRIMARY KEY (run_id, case_id)
) PARTITION BY RANGE (run_id);

-- Runs with cases that the memory of their cell was not carried over yet.
CREATE TABLE untold (
    run_id      uuid NOT NULL,
    cell_id     int NOT NULL,
    attempt     smallint NOT NULL,
    finished_at timestamptz NOT NULL,
    CONSTRAINT untold_pkey PRIMARY KEY (finished_at, run_id)
);

-- Since when the control test of a namespace fails on a runner, and when it did last; no row while it passes.
CREATE TABLE control_failure (
    ns_id     int NOT NULL,
    runner_id uuid NOT NULL,
    since     timestamptz NOT NULL,
    failed_at timestamptz NOT NULL,
    CONSTRAINT control_failure_pkey PRIMARY KEY (ns_id, runner_id)
);

CREATE OR REPLACE FUNCTION tables_of_runs() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['standing', 'report_case', 'report', 'judged', 'run', 'run_end', 'attempt', 'run_event', 'log_chunk', 'artifact',
                 'collected', 'output'];

SELECT ensure_partitions(day, day)
FROM (SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'run'::regclass) days;
