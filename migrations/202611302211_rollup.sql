-- Sums of finished runs by the hour and by the day for which they were scheduled, so that a summary costs the same whatever
-- the number of runs; and up to which day runs were removed, so that a rebuild leaves the sums of those days alone.
-- Locks: none that anybody waits for.

CREATE TABLE rollup (
    ns_id       int NOT NULL,
    -- 0 all runs, 1 those of a test, 2 those of a runner, 3 those with a label
    dim         smallint NOT NULL,
    -- 0 an hour, 1 a day
    grain       smallint NOT NULL,
    at          timestamptz NOT NULL,
    -- nothing; the id of a test or of a runner; key=value
    key         text COLLATE "C" NOT NULL,
    pass        bigint NOT NULL,
    fail        bigint NOT NULL,
    error       bigint NOT NULL,
    timed_out   bigint NOT NULL,
    cancelled   bigint NOT NULL,
    flaky       bigint NOT NULL,
    attempts    bigint NOT NULL,
    wait_ms     bigint NOT NULL,
    duration_ms bigint NOT NULL,
    -- How long slots of runners were taken.
    busy_ms     bigint NOT NULL,
    -- Sketches: shared/src/analysis/quantile.rs.
    waits       bytea NOT NULL,
    durations   bytea NOT NULL,
    -- What is asked for is a stretch of it: all, or all tests, of some hours or days.
    CONSTRAINT rollup_pkey PRIMARY KEY (ns_id, dim, grain, at, key)
)
WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Runs of days before this one may be gone.
CREATE TABLE runs_removed (
    ns_id  int NOT NULL,
    before date NOT NULL,
    CONSTRAINT runs_removed_pkey PRIMARY KEY (ns_id)
);
