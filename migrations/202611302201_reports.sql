-- Test reports: which were read of an attempt, the cases in them, and what was made of the attempt by them.
-- Locks: none that others want. The partitions of all days that are there are made.
--
-- They go with the runs, not with the logs: the history of a case is what is left of an old run. The previous release runs on
-- this schema, makes and drops these partitions by the functions, and reads no reports.

-- The identity of a case, once for all its runs; the id is derived from the test and the key.
CREATE TABLE case_key (
    case_id    uuid NOT NULL,
    ns_id      int NOT NULL,
    test_id    uuid NOT NULL,
    suite      jsonb NOT NULL,
    classname  text,
    name       text NOT NULL,
    file       text,
    -- The identity that the test itself gives it.
    own_id     text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT case_key_pkey PRIMARY KEY (case_id)
);
CREATE INDEX case_key_test_idx ON case_key (test_id);

-- A cell of a test's matrix, once for all its runs: what it looks like now.
CREATE TABLE cell (
    id          int GENERATED ALWAYS AS IDENTITY,
    ns_id       int NOT NULL,
    test_id     uuid NOT NULL,
    labels_hash bytea NOT NULL,
    labels      jsonb NOT NULL,
    -- How its latest runs ended, a letter each, the newest last.
    strip       text NOT NULL DEFAULT '',
    -- Healthy, flaky or broken: with consequences, and as it is shown; since when, and why.
    status      text NOT NULL DEFAULT 'healthy',
    label       text NOT NULL DEFAULT 'healthy',
    changed_at  timestamptz,
    findings    jsonb,
    last_run    uuid,
    last_at     timestamptz,
    last_result text,
    CONSTRAINT cell_pkey PRIMARY KEY (id),
    CONSTRAINT cell_labels_key UNIQUE (test_id, labels_hash),
    CONSTRAINT cell_hash_check CHECK (octet_length(labels_hash) = 16)
) WITH (fillfactor = 70);
CREATE INDEX cell_namespace_idx ON cell (ns_id, test_id);

-- A report of an attempt.
CREATE TABLE report (
    run_id  uuid NOT NULL,
    attempt smallint NOT NULL,
    -- Its place among the reports of the attempt.
    report  smallint NOT NULL,
    path    text NOT NULL,
    body    jsonb NOT NULL,
    CONSTRAINT report_pkey PRIMARY KEY (run_id, attempt, report)
) PARTITION BY RANGE (run_id);

-- A case of a report.
CREATE TABLE report_case (
    run_id      uuid NOT NULL,
    case_id     uuid NOT NULL,
    cell_id     int NOT NULL,
    attempt     smallint NOT NULL,
    report      smallint NOT NULL,
    -- Its place in the report, and its number among cases that share their identity.
    place       int NOT NULL,
    ordinal     int NOT NULL,
    status      text NOT NULL,
    flaky       boolean NOT NULL,
    muted       boolean NOT NULL,
    failed_attempts smallint NOT NULL,
    duration_ms bigint,
    -- The first words of its first finding.
    message     text,
    -- All else that the report says, packed as pieces of logs are.
    detail      bytea,
    raw_bytes   int,
    CONSTRAINT report_case_pkey PRIMARY KEY (run_id, attempt, report, place)
) PARTITION BY RANGE (run_id);
ALTER TABLE report_case ALTER COLUMN detail SET STORAGE EXTERNAL;
-- The history of a case in a cell.
CREATE INDEX report_case_history_idx ON report_case (case_id, cell_id, run_id);
CREATE INDEX report_case_failed_idx ON report_case (run_id, attempt, report, place) WHERE status IN ('fail', 'error');

-- What was made of an attempt by its reports, once all of them were read.
CREATE TABLE judged (
    run_id  uuid NOT NULL,
    attempt smallint NOT NULL,
    -- What the attempt counts as.
    result  text NOT NULL,
    -- How many cases there are of each kind; null without a report.
    counts  jsonb,
    body    jsonb NOT NULL,
    CONSTRAINT judged_pkey PRIMARY KEY (run_id, attempt)
) PARTITION BY RANGE (run_id);

-- How many cases the reports of an attempt have. Of its own plan, so that who does not call it locks nothing.
CREATE FUNCTION cases_of(run uuid, nth smallint) RETURNS jsonb
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN (SELECT j.counts FROM judged j WHERE j.run_id = run AND j.attempt = nth);
END $$;

-- Cases whose failure does not count for a while, or that are not to be run.
CREATE TABLE quarantine (
    test_id    uuid NOT NULL,
    case_id    uuid NOT NULL,
    ns_id      int NOT NULL,
    mode       text NOT NULL,
    owner      text NOT NULL,
    reason     text NOT NULL,
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    until      timestamptz NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT quarantine_pkey PRIMARY KEY (test_id, case_id),
    CONSTRAINT quarantine_mode_check CHECK (mode IN ('mute', 'skip')),
    CONSTRAINT quarantine_until_check CHECK (until > since)
);

CREATE OR REPLACE FUNCTION tables_of_runs() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    -- Those first that somebody may hold for a while, so that a day is not dropped at the cost of others.
    RETURN ARRAY['report_case', 'report', 'judged', 'run', 'run_end', 'attempt', 'run_event', 'log_chunk', 'artifact',
                 'collected'];

SELECT ensure_partitions(day, day)
FROM (SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'run'::regclass) days;
