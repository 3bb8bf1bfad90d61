-- Retention: how long runs and logs are kept, runs that are pinned, what each namespace has stored, and the functions that
-- drop a day.
-- Locks: `namespace`, `ledger`, `class` and `config` for a moment (ACCESS EXCLUSIVE; the ledger is read once to check it,
-- nothing is rewritten). What is stored so far is counted once, which reads `run` and `attempt`.
--
-- The previous release runs on this schema: it prunes nothing, and what it stores meanwhile is not counted in `usage`.

-- Runs that retention leaves alone.
CREATE TABLE keep (
    run_id  uuid NOT NULL,
    ns_id   int NOT NULL,
    kept_by text NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    note    text,
    CONSTRAINT keep_pkey PRIMARY KEY (run_id)
);
CREATE INDEX keep_ns_idx ON keep (ns_id, run_id);

-- What a namespace has stored of a day: runs, and bytes of the logs of attempts that have ended.
CREATE TABLE usage (
    ns_id           int NOT NULL,
    day             date NOT NULL,
    runs            bigint NOT NULL,
    log_bytes       bigint NOT NULL,
    -- When the removal of the day's logs began, and whether nothing is left to be removed.
    logs_removed_at timestamptz,
    logs_swept      boolean NOT NULL DEFAULT false,
    CONSTRAINT usage_pkey PRIMARY KEY (ns_id, day)
);
CREATE INDEX usage_day_idx ON usage (day);

-- Changes of it that are not added up yet. Written in the transaction that stores or removes: only inserted, so nobody
-- waits for anybody; a loop folds them into `usage`.
CREATE TABLE usage_delta (
    ns_id     int NOT NULL,
    day       date NOT NULL,
    runs      bigint NOT NULL,
    log_bytes bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- The day of a run: that of the time in its id.
CREATE FUNCTION id_day(id uuid) RETURNS date
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT date '1970-01-01' + (('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 86400000)::int
$$;

-- Events go with their runs, and are never changed.
CREATE OR REPLACE FUNCTION run_event_is_append_only() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('tstr.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'run_event is append-only' USING ERRCODE = 'restrict_violation';
END $$;

-- Adds the changes up; tells how many. One at a time: whoever removes a day must find all of them.
CREATE FUNCTION fold_usage(wait boolean) RETURNS bigint
    LANGUAGE plpgsql AS $$
DECLARE
    folded bigint;
BEGIN
    IF wait THEN
        PERFORM pg_advisory_xact_lock(7478111, 2);
    ELSIF NOT pg_try_advisory_xact_lock(7478111, 2) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM usage_delta RETURNING ns_id, day, runs, log_bytes
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
    RETURN folded;
END $$;

-- The lock under which runs of a day are pinned, and under which they are removed.
CREATE FUNCTION lock_day(day date, removing boolean) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF removing THEN
        PERFORM pg_advisory_xact_lock(7478114, day - date '1970-01-01');
    ELSE
        PERFORM pg_advisory_xact_lock_shared(7478114, day - date '1970-01-01');
    END IF;
END $$;

-- Drops the partitions of a day, or only that of its logs; runs that are pinned are carried over into new ones. Says what
-- became of it: `dropped`; `unfinished` when a run of the day has not ended; `busy` when somebody uses the tables for
-- longer than others may be made to wait. Unless it was dropped the caller rolls back.
CREATE FUNCTION drop_day(day date, only_logs boolean) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    suffix text := '_' || to_char(day, 'YYYYMMDD');
    low uuid := id_floor(day::timestamp AT TIME ZONE 'UTC');
    high uuid := id_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
    parents text[] := CASE WHEN only_logs THEN ARRAY['log_chunk']
                           ELSE ARRAY['run', 'run_end', 'attempt', 'run_event', 'log_chunk'] END;
    pinned uuid[];
    parent text;
    is_open boolean;
    held boolean := false;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    -- Another replica may have been faster.
    IF to_regclass('run' || suffix) IS NULL THEN
        RETURN 'dropped';
    END IF;
    -- Nobody makes a run of the day from here on. Only schedules that catch up would.
    EXECUTE format('LOCK TABLE ONLY %I IN SHARE MODE', 'run' || suffix);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I r WHERE NOT EXISTS (SELECT FROM %I e WHERE e.run_id = r.id))',
                   'run' || suffix, 'run_end' || suffix)
        INTO is_open;
    IF is_open THEN
        RETURN 'unfinished';
    END IF;
    -- Nobody pins a run of the day from here on.
    PERFORM lock_day(day, true);
    pinned := ARRAY(SELECT k.run_id FROM keep k WHERE k.run_id >= low AND k.run_id < high);
    FOREACH parent IN ARRAY parents LOOP
        CONTINUE WHEN pinned = '{}' OR to_regclass(parent || suffix) IS NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', parent || suffix || '_kept', parent);
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I = ANY($1)', parent || suffix || '_kept', parent,
                       CASE parent WHEN 'run' THEN 'id' ELSE 'run_id' END)
            USING pinned;
    END LOOP;

    PERFORM fold_usage(true);
    UPDATE usage u
    SET runs = CASE WHEN only_logs THEN u.runs
                    ELSE (SELECT count(*) FROM run r WHERE r.id = ANY(pinned) AND r.ns_id = u.ns_id) END,
        log_bytes = (SELECT coalesce(sum(a.stdout_bytes + a.stderr_bytes), 0)
                     FROM run r JOIN attempt a ON a.run_id = r.id
                     WHERE r.id = ANY(pinned) AND r.ns_id = u.ns_id
                       AND EXISTS (SELECT FROM log_chunk c WHERE c.run_id = a.run_id AND c.attempt = a.attempt)),
        logs_removed_at = coalesce(u.logs_removed_at, clock_timestamp()),
        logs_swept = true
    WHERE u.day = drop_day.day;
    DELETE FROM usage u WHERE u.day = drop_day.day AND u.runs = 0;

    -- All others wait behind whoever waits for these locks: so never for long, and rather again.
    FOR round IN 1..20 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '100ms', true);
            FOREACH parent IN ARRAY parents LOOP
                EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
                IF to_regclass(parent || suffix) IS NOT NULL THEN
                    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent || suffix);
                END IF;
            END LOOP;
            held := true;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1 + random() * 0.2);
        END;
    END LOOP;
    IF NOT held THEN
        RETURN 'busy';
    END IF;
    FOREACH parent IN ARRAY parents LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', parent || suffix);
        CONTINUE WHEN to_regclass(parent || suffix || '_kept') IS NULL;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', parent || suffix || '_kept', parent || suffix);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, parent || suffix,
                       low, high);
    END LOOP;
    RETURN 'dropped';
END $$;

INSERT INTO usage (ns_id, day, runs, log_bytes)
SELECT r.ns_id, id_day(r.id), count(*), coalesce(sum(a.bytes), 0)
FROM run r
LEFT JOIN (SELECT run_id, sum(stdout_bytes + stderr_bytes) AS bytes FROM attempt GROUP BY run_id) a ON a.run_id = r.id
GROUP BY r.ns_id, id_day(r.id);

-- Last, so that nobody waits for the count.
ALTER TABLE namespace
    ADD COLUMN runs_days int NOT NULL DEFAULT 90,
    ADD COLUMN logs_days int NOT NULL DEFAULT 30,
    ADD COLUMN max_bytes bigint,
    ADD CONSTRAINT namespace_retention_check CHECK (logs_days >= 1 AND logs_days <= runs_days AND runs_days <= 3650),
    ADD CONSTRAINT namespace_bytes_check CHECK (max_bytes >= 0);

ALTER TABLE ledger
    DROP CONSTRAINT ledger_reason_check,
    ADD CONSTRAINT ledger_reason_check CHECK (
        (outcome = 'ran') = (reason IS NULL)
        AND (reason IS NULL
             OR reason IN ('concurrency', 'quota', 'storage_full', 'unreadable', 'deadline', 'catch_up')));

-- When runs were last made of it, to within 30 days: brought up to date by an enqueue that finds it older. So what is
-- 31 days older than the oldest day with runs is used by none of them.
ALTER TABLE class ADD COLUMN used_on date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date;
ALTER TABLE config ADD COLUMN used_on date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date;
CREATE INDEX config_used_idx ON config (used_on);
