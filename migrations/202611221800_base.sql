-- The first schema: namespaces, tokens, tests, the queue, and the history of runs.
-- Locks: none that matter, everything is new.
--
-- The shape follows one idea: what is hot is narrow and lives apart from what is history. A queued run is a row of
-- `ready` (or `delayed`), a leased one a row of `lease`, a finished one a row of `run_end`; `run` itself is inserted
-- once and never updated. History is partitioned by day over the time in the first 48 bits of a run's id.

CREATE TABLE namespace (
    id          int GENERATED ALWAYS AS IDENTITY,
    name        text NOT NULL,
    max_queued  int,
    max_running int,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT namespace_pkey PRIMARY KEY (id),
    CONSTRAINT namespace_name_key UNIQUE (name),
    CONSTRAINT namespace_name_check CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT namespace_quotas_check CHECK (max_queued >= 0 AND max_running >= 0)
);
INSERT INTO namespace (name, max_queued, max_running) VALUES ('default', 10000, 50);

-- Keys that sign tokens; the private half is sealed under a key file that the database never sees.
CREATE TABLE signing_key (
    kid        text NOT NULL,
    public_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    CONSTRAINT signing_key_pkey PRIMARY KEY (kid)
);

-- The record of a token; the token itself is never stored.
CREATE TABLE token (
    id           uuid NOT NULL,
    name         text NOT NULL,
    scopes       text[] NOT NULL,
    namespaces   text[] NOT NULL,
    issued_by    uuid,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    CONSTRAINT token_pkey PRIMARY KEY (id),
    CONSTRAINT token_scopes_check CHECK (scopes <@ ARRAY['admin', 'control', 'data', 'runner'] AND cardinality(scopes) > 0),
    CONSTRAINT token_expiry_check CHECK (expires_at > created_at)
);
CREATE INDEX token_revoked_idx ON token (revoked_at) WHERE revoked_at IS NOT NULL;

-- `doc` is json, not jsonb: the order of a matrix's axes decides the order of its cells.
CREATE TABLE test (
    id         uuid NOT NULL,
    ns_id      int NOT NULL,
    name       text NOT NULL,
    doc        json NOT NULL,
    version    int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz,
    CONSTRAINT test_pkey PRIMARY KEY (id),
    CONSTRAINT test_namespace_fkey FOREIGN KEY (ns_id) REFERENCES namespace (id),
    CONSTRAINT test_version_check CHECK (version > 0)
);
CREATE UNIQUE INDEX test_ns_name_key ON test (ns_id, name) WHERE deleted_at IS NULL;

-- A row for every test with a schedule that is neither paused nor deleted.
CREATE TABLE schedule (
    test_id uuid NOT NULL,
    next_at timestamptz NOT NULL,
    CONSTRAINT schedule_pkey PRIMARY KEY (test_id),
    CONSTRAINT schedule_test_fkey FOREIGN KEY (test_id) REFERENCES test (id)
);
CREATE INDEX schedule_next_idx ON schedule (next_at);

-- Placement classes: what a runner's selectors are matched against, once per runner and class.
CREATE TABLE class (
    id          int GENERATED ALWAYS AS IDENTITY,
    ns_id       int NOT NULL,
    labels_hash bytea NOT NULL,
    labels      jsonb NOT NULL,
    CONSTRAINT class_pkey PRIMARY KEY (id),
    CONSTRAINT class_namespace_fkey FOREIGN KEY (ns_id) REFERENCES namespace (id),
    CONSTRAINT class_labels_key UNIQUE (ns_id, labels_hash),
    CONSTRAINT class_hash_check CHECK (octet_length(labels_hash) = 16),
    -- A lane is class * 4 + priority and must fit an int.
    CONSTRAINT class_lane_check CHECK (id < 536870912)
);

-- What a run executes, interned: the runs of a test share a row until the test changes.
CREATE TABLE config (
    id                bigint GENERATED ALWAYS AS IDENTITY,
    hash              bytea NOT NULL,
    body              json NOT NULL,
    budget_secs       int NOT NULL,
    on_fail           smallint NOT NULL,
    on_infrastructure smallint NOT NULL,
    at_most_once      boolean NOT NULL,
    log_limit         bigint NOT NULL,
    CONSTRAINT config_pkey PRIMARY KEY (id),
    CONSTRAINT config_hash_key UNIQUE (hash),
    CONSTRAINT config_hash_check CHECK (octet_length(hash) = 32)
);

CREATE TABLE runner (
    id            uuid NOT NULL,
    name          text NOT NULL,
    token_id      uuid NOT NULL,
    namespaces    text[] NOT NULL,
    accept        jsonb NOT NULL,
    reject        jsonb NOT NULL,
    slots         smallint NOT NULL,
    about         jsonb NOT NULL,
    draining      boolean NOT NULL DEFAULT false,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT runner_pkey PRIMARY KEY (id),
    CONSTRAINT runner_slots_check CHECK (slots BETWEEN 1 AND 1024)
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX runner_name_idx ON runner (name);

-- The queue. One index, and rows are only ever inserted and deleted: a claim is one descent whatever the depth.
CREATE SEQUENCE ready_seq AS bigint CACHE 32;
CREATE TABLE ready (
    lane         int NOT NULL,
    seq          bigint NOT NULL,
    run_id       uuid NOT NULL,
    attempt      smallint NOT NULL DEFAULT 0,
    infra_losses smallint NOT NULL DEFAULT 0,
    test_retries smallint NOT NULL DEFAULT 0,
    releases     smallint NOT NULL DEFAULT 0,
    expires_at   timestamptz NOT NULL,
    CONSTRAINT ready_pkey PRIMARY KEY (lane, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- Runs that wait for their time: triggered for later, or backing off after a loss.
CREATE TABLE delayed (
    due          timestamptz NOT NULL,
    run_id       uuid NOT NULL,
    lane         int NOT NULL,
    seq          bigint NOT NULL,
    attempt      smallint NOT NULL DEFAULT 0,
    infra_losses smallint NOT NULL DEFAULT 0,
    test_retries smallint NOT NULL DEFAULT 0,
    releases     smallint NOT NULL DEFAULT 0,
    queue_secs   int NOT NULL,
    CONSTRAINT delayed_pkey PRIMARY KEY (due, run_id)
);
CREATE UNIQUE INDEX delayed_run_key ON delayed (run_id);

CREATE TABLE lease (
    run_id              uuid NOT NULL,
    attempt             smallint NOT NULL,
    lease_id            uuid NOT NULL DEFAULT gen_random_uuid(),
    runner_id           uuid NOT NULL,
    ns_id               int NOT NULL,
    lane                int NOT NULL,
    seq                 bigint NOT NULL,
    claim_id            uuid NOT NULL,
    leased_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at          timestamptz NOT NULL,
    started_at          timestamptz,
    hard_deadline       timestamptz,
    cancel_requested_at timestamptz,
    cancelled_by        text,
    budget_secs         int NOT NULL,
    infra_losses        smallint NOT NULL,
    test_retries        smallint NOT NULL,
    releases            smallint NOT NULL,
    CONSTRAINT lease_pkey PRIMARY KEY (run_id),
    CONSTRAINT lease_deadline_check CHECK ((started_at IS NULL) = (hard_deadline IS NULL)),
    CONSTRAINT lease_order_check CHECK (started_at >= leased_at),
    -- Before the start a cancel ends the run at once; only a running one waits for its runner.
    CONSTRAINT lease_cancel_check CHECK (cancel_requested_at IS NULL OR started_at IS NOT NULL)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX lease_runner_idx ON lease (runner_id);
CREATE INDEX lease_ns_idx ON lease (ns_id);

-- History. Inserted once, never updated; partitions are made by ensure_partitions().
CREATE TABLE run (
    id           uuid NOT NULL,
    ns_id        int NOT NULL,
    test_id      uuid NOT NULL,
    matrix_id    uuid NOT NULL,
    class_id     int NOT NULL,
    config_id    bigint NOT NULL,
    priority     smallint NOT NULL,
    seq          bigint NOT NULL,
    queue_secs   int NOT NULL,
    trigger      text NOT NULL,
    scheduled_at timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by   text NOT NULL,
    CONSTRAINT run_pkey PRIMARY KEY (id),
    CONSTRAINT run_priority_check CHECK (priority BETWEEN 0 AND 3),
    CONSTRAINT run_trigger_check CHECK (trigger IN ('schedule', 'manual', 'retry'))
) PARTITION BY RANGE (id);
CREATE INDEX run_ns_idx ON run (ns_id, id);
CREATE INDEX run_test_idx ON run (test_id, id);

-- How a run ended. The primary key states the promise: one result for a run, ever.
CREATE TABLE run_end (
    run_id       uuid NOT NULL,
    ns_id        int NOT NULL,
    test_id      uuid NOT NULL,
    class_id     int NOT NULL,
    finished_at  timestamptz NOT NULL,
    attempt      smallint NOT NULL,
    result       text NOT NULL,
    reason       text,
    message      text,
    exit_code    int,
    flaky        boolean NOT NULL,
    runner_id    uuid,
    image_digest text,
    leased_at    timestamptz,
    started_at   timestamptz,
    log_status   text NOT NULL,
    log_bytes    bigint NOT NULL,
    log_dropped  bigint NOT NULL,
    CONSTRAINT run_end_pkey PRIMARY KEY (run_id),
    CONSTRAINT run_end_result_check CHECK (result IN ('pass', 'fail', 'error', 'timed_out', 'cancelled')),
    CONSTRAINT run_end_pass_check CHECK (result NOT IN ('pass', 'fail') OR started_at IS NOT NULL),
    CONSTRAINT run_end_flaky_check CHECK (NOT flaky OR result = 'pass'),
    CONSTRAINT run_end_log_check CHECK (log_status IN ('complete', 'truncated', 'incomplete')),
    CONSTRAINT run_end_order_check CHECK (leased_at <= started_at AND started_at <= finished_at)
) PARTITION BY RANGE (run_id);
CREATE INDEX run_end_test_idx ON run_end (test_id, finished_at);

CREATE TABLE attempt (
    run_id         uuid NOT NULL,
    attempt        smallint NOT NULL,
    lease_id       uuid NOT NULL,
    runner_id      uuid NOT NULL,
    leased_at      timestamptz NOT NULL,
    started_at     timestamptz,
    ended_at       timestamptz NOT NULL,
    result         text,
    reason         text,
    message        text,
    exit_code      int,
    image_digest   text,
    log_status     text NOT NULL,
    stdout_bytes   bigint NOT NULL,
    stdout_dropped bigint NOT NULL,
    stdout_sha256  bytea,
    stderr_bytes   bigint NOT NULL,
    stderr_dropped bigint NOT NULL,
    stderr_sha256  bytea,
    CONSTRAINT attempt_pkey PRIMARY KEY (run_id, attempt),
    CONSTRAINT attempt_number_check CHECK (attempt > 0)
) PARTITION BY RANGE (run_id);

-- Every change of state, written by the statement that makes it.
CREATE SEQUENCE run_event_seq AS bigint CACHE 32;
CREATE TABLE run_event (
    run_id     uuid NOT NULL,
    id         bigint NOT NULL DEFAULT nextval('run_event_seq'),
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    txid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    state_from text,
    state_to   text NOT NULL,
    attempt    smallint NOT NULL,
    lease_id   uuid,
    result     text,
    reason     text,
    actor      text NOT NULL,
    CONSTRAINT run_event_pkey PRIMARY KEY (run_id, id),
    CONSTRAINT run_event_result_check CHECK ((state_to = 'finished') = (result IS NOT NULL))
) PARTITION BY RANGE (run_id);

CREATE FUNCTION run_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'run_event is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER run_event_append_only BEFORE UPDATE OR DELETE ON run_event
    FOR EACH ROW EXECUTE FUNCTION run_event_is_append_only();

-- Pieces of logs. `seq` is the order of arrival over both streams, `start` the offset within the stream.
CREATE TABLE log_chunk (
    run_id      uuid NOT NULL,
    attempt     smallint NOT NULL,
    seq         int NOT NULL,
    stream      smallint NOT NULL,
    start       bigint NOT NULL,
    reported_at timestamptz NOT NULL,
    body        bytea NOT NULL,
    CONSTRAINT log_chunk_pkey PRIMARY KEY (run_id, attempt, seq),
    CONSTRAINT log_chunk_stream_check CHECK (stream IN (1, 2)),
    CONSTRAINT log_chunk_body_check CHECK (octet_length(body) BETWEEN 1 AND 262144)
) PARTITION BY RANGE (run_id);
CREATE UNIQUE INDEX log_chunk_start_key ON log_chunk (run_id, attempt, stream, start);
ALTER TABLE log_chunk ALTER COLUMN body SET STORAGE EXTERNAL;

-- The first answer to a request that carries an idempotency key.
CREATE TABLE idempotency (
    ns_id        int NOT NULL,
    principal    uuid NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    response     json,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT idempotency_pkey PRIMARY KEY (ns_id, principal, key)
);
CREATE INDEX idempotency_created_idx ON idempotency (created_at);

-- When a loop last went through, over all replicas; an outage is what is missing here.
CREATE TABLE sweep (
    name text NOT NULL,
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sweep_pkey PRIMARY KEY (name)
);
INSERT INTO sweep (name) VALUES ('reaper');

-- The smallest id of an instant: a lower bound for ranges of ids.
CREATE FUNCTION id_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Makes the partitions of the days from `first` to `last` (UTC). Attaching takes a weaker lock on the parent than
-- creating a partition in place, so reads and writes go on.
CREATE FUNCTION ensure_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
    day date;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7478111, 1);
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        FOREACH parent IN ARRAY ARRAY['run', 'run_end', 'attempt', 'run_event', 'log_chunk'] LOOP
            child := parent || '_' || to_char(day, 'YYYYMMDD');
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                id_floor(day::timestamp AT TIME ZONE 'UTC'), id_floor((day + 1)::timestamp AT TIME ZONE 'UTC'));
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 2);

-- A run as people and checkers see it.
CREATE VIEW runs AS
SELECT r.id AS run_id, n.name AS namespace, r.test_id, r.matrix_id, c.labels, r.priority, r.trigger,
       CASE WHEN e.run_id IS NOT NULL THEN 'finished'
            WHEN l.started_at IS NOT NULL THEN 'running'
            WHEN l.run_id IS NOT NULL THEN 'leased'
            ELSE 'queued' END AS state,
       e.result, e.reason, e.exit_code, coalesce(e.flaky, false) AS flaky,
       coalesce(l.attempt, e.attempt) AS attempt, coalesce(l.runner_id, e.runner_id) AS runner_id, l.lease_id,
       l.expires_at, l.cancel_requested_at, r.scheduled_at, r.created_at,
       coalesce(l.leased_at, e.leased_at) AS leased_at, coalesce(l.started_at, e.started_at) AS started_at, e.finished_at
FROM run r
JOIN namespace n ON n.id = r.ns_id
JOIN class c ON c.id = r.class_id
LEFT JOIN lease l ON l.run_id = r.id
LEFT JOIN run_end e ON e.run_id = r.id;
