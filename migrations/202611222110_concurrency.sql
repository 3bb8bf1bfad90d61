-- Gates that decide whether a run may be claimed, cancels that the server orders itself, and the ledger of schedules.
-- Locks: `lease` and `config` for a moment (ACCESS EXCLUSIVE, nothing is rewritten); all else is new.
--
-- A run with a gate is a row of `gated` from its creation to its end. Until it has the slots that it needs it is
-- parked: it waits there, and not in `ready`. The unique keys state the promise: a slot is held by one run.

-- What limits runs: a named group of a namespace, a cell of a test, or a matrix. Its row is the lock under which slots
-- are given; those of the matrices are taken after all others.
CREATE TABLE gate (
    key   uuid NOT NULL,
    kind  text NOT NULL,
    ns_id int NOT NULL,
    name  text,
    slots smallint NOT NULL,
    CONSTRAINT gate_pkey PRIMARY KEY (key),
    CONSTRAINT gate_namespace_fkey FOREIGN KEY (ns_id) REFERENCES namespace (id),
    CONSTRAINT gate_kind_check CHECK (kind IN ('group', 'cell', 'matrix')),
    CONSTRAINT gate_name_check CHECK ((kind = 'group') = (name IS NOT NULL)),
    CONSTRAINT gate_slots_check CHECK (slots BETWEEN 1 AND 1000)
) WITH (fillfactor = 80);

CREATE TABLE gated (
    run_id       uuid NOT NULL,
    ns_id        int NOT NULL,
    matrix_id    uuid NOT NULL,
    -- The gate of concurrency, if there is one: a group, or a cell of the test.
    group_key    uuid,
    group_slot   smallint,
    policy       text,
    depth        smallint,
    overflow     text,
    -- The gate of its matrix, if there is one; its key is matrix_id.
    max_parallel smallint,
    matrix_slot  smallint,
    -- Its place in `ready`.
    lane         int NOT NULL,
    seq          bigint NOT NULL,
    -- A run that was put off meets its gates only then.
    due          timestamptz,
    expires_at   timestamptz NOT NULL,
    parked       boolean NOT NULL GENERATED ALWAYS AS (
                     due IS NOT NULL OR (group_key IS NOT NULL AND group_slot IS NULL)
                     OR (max_parallel IS NOT NULL AND matrix_slot IS NULL)) STORED,
    CONSTRAINT gated_pkey PRIMARY KEY (run_id),
    CONSTRAINT gated_group_slot_key UNIQUE (group_key, group_slot),
    CONSTRAINT gated_matrix_slot_key UNIQUE (matrix_id, matrix_slot),
    CONSTRAINT gated_gate_check CHECK (group_key IS NOT NULL OR max_parallel IS NOT NULL),
    CONSTRAINT gated_policy_check CHECK (
        (group_key IS NULL) = (policy IS NULL) AND policy IN ('forbid', 'queue', 'replace')
        AND (policy IS NULL OR depth IS NOT NULL AND overflow IS NOT NULL) AND overflow IN ('oldest', 'newest')),
    CONSTRAINT gated_slots_check CHECK (
        (group_slot IS NULL OR group_slot > 0 AND group_key IS NOT NULL AND due IS NULL)
        AND (matrix_slot IS NULL OR matrix_slot > 0 AND max_parallel IS NOT NULL AND due IS NULL)),
    -- Slots are taken in this order, so that two runs never wait for each other.
    CONSTRAINT gated_order_check CHECK (matrix_slot IS NULL OR group_key IS NULL OR group_slot IS NOT NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX gated_group_idx ON gated (group_key, seq) WHERE group_key IS NOT NULL;
CREATE INDEX gated_matrix_idx ON gated (matrix_id, seq) WHERE max_parallel IS NOT NULL AND matrix_slot IS NULL;
CREATE INDEX gated_parked_idx ON gated (ns_id) WHERE parked;
CREATE INDEX gated_expiry_idx ON gated (expires_at) WHERE parked;
CREATE INDEX gated_due_idx ON gated (due) WHERE due IS NOT NULL;

-- Runs that are to be cancelled because of another: written with the cause, carried out right after it.
CREATE TABLE cancel_order (
    run_id     uuid NOT NULL,
    actor      text NOT NULL,
    message    text NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT cancel_order_pkey PRIMARY KEY (run_id)
);

ALTER TABLE lease ADD COLUMN cancel_note text;
ALTER TABLE config ADD COLUMN fail_fast boolean NOT NULL DEFAULT false;

-- What became of every instant of every schedule; written with the runs, pruned by time.
CREATE TABLE ledger (
    test_id       uuid NOT NULL,
    scheduled_for timestamptz NOT NULL,
    ns_id         int NOT NULL,
    outcome       text NOT NULL,
    reason        text,
    late_ms       bigint,
    matrix_id     uuid,
    runs          int NOT NULL DEFAULT 0,
    -- A stretch of missed instants, up to and with this one, in one row.
    until         timestamptz,
    instants      int NOT NULL DEFAULT 1,
    noted_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ledger_pkey PRIMARY KEY (test_id, scheduled_for),
    CONSTRAINT ledger_outcome_check CHECK (outcome IN ('ran', 'skipped', 'missed')),
    CONSTRAINT ledger_reason_check CHECK (
        (outcome = 'ran') = (reason IS NULL)
        AND (reason IS NULL OR reason IN ('concurrency', 'quota', 'unreadable', 'deadline', 'catch_up'))),
    CONSTRAINT ledger_ran_check CHECK (outcome <> 'ran' OR (matrix_id IS NOT NULL AND runs > 0)),
    CONSTRAINT ledger_stretch_check CHECK ((instants > 1) <= (until IS NOT NULL) AND instants > 0 AND until >= scheduled_for)
);
CREATE INDEX ledger_noted_idx ON ledger USING brin (noted_at);

INSERT INTO sweep (name) VALUES ('gates');
