-- Artifacts: which files an attempt left behind, where their contents lie in the store of objects, and how many bytes they
-- count. They go with the logs of their day.
-- Locks: `usage` and `usage_delta` for a moment (ACCESS EXCLUSIVE); the new columns have a constant default, so nothing is
-- rewritten. The partitions of all days that are there are made.
--
-- The previous release runs on this schema: what it stores has no artifacts, and counts none of their bytes. It makes and
-- drops days by the functions of this file.

-- A content as an object of the store: `<ns_id>/<sha256>-<key>`. Each upload has a row and an object of its own; the row is
-- made before the object, and goes after it, so that no object is ever without one.
CREATE TABLE blob (
    key       uuid NOT NULL,
    ns_id     int NOT NULL,
    sha256    bytea NOT NULL,
    bytes     bigint NOT NULL,
    -- Null while it is uploaded, and again while it is removed: nobody finds it then.
    stored_at timestamptz,
    -- The day on which somebody last said that it is there or needed.
    used_on   date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    CONSTRAINT blob_pkey PRIMARY KEY (key),
    CONSTRAINT blob_sha256_check CHECK (octet_length(sha256) = 32),
    CONSTRAINT blob_bytes_check CHECK (bytes >= 0)
);
-- A content of a namespace is found once.
CREATE UNIQUE INDEX blob_content_key ON blob (ns_id, sha256) WHERE stored_at IS NOT NULL;
CREATE INDEX blob_unstored_idx ON blob (used_on) WHERE stored_at IS NULL;

-- The files of an attempt.
CREATE TABLE artifact (
    run_id     uuid NOT NULL,
    attempt    smallint NOT NULL,
    path       text NOT NULL,
    blob       uuid NOT NULL,
    sha256     bytea NOT NULL,
    bytes      bigint NOT NULL,
    media_type text NOT NULL,
    CONSTRAINT artifact_pkey PRIMARY KEY (run_id, attempt, path),
    CONSTRAINT artifact_path_check CHECK (octet_length(path) BETWEEN 1 AND 512),
    CONSTRAINT artifact_bytes_check CHECK (bytes >= 0)
) PARTITION BY RANGE (run_id);
CREATE INDEX artifact_blob_idx ON artifact (blob);

-- That the artifacts of an attempt were collected, and what is said of files that were not kept.
CREATE TABLE collected (
    run_id  uuid NOT NULL,
    attempt smallint NOT NULL,
    files   int NOT NULL,
    bytes   bigint NOT NULL,
    notes   jsonb NOT NULL,
    CONSTRAINT collected_pkey PRIMARY KEY (run_id, attempt)
) PARTITION BY RANGE (run_id);

-- As they are added up.
ALTER TABLE usage ADD COLUMN artifact_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE usage_delta ADD COLUMN artifact_bytes bigint NOT NULL DEFAULT 0;

-- Whether the artifacts of an attempt are still on record. Of its own plan, so that who does not call it locks nothing.
CREATE FUNCTION has_collected(run uuid, nth smallint) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM collected c WHERE c.run_id = run AND c.attempt = nth);
END $$;

-- Whether any file has this content. Of its own plan, which looks only at days until the one on which it was last used, and
-- one more for clocks that differ: a run is never younger than the use of its files.
CREATE FUNCTION is_blob_used(key uuid, used_on date) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM artifact a
                   WHERE a.blob = is_blob_used.key
                     AND a.run_id < id_floor((is_blob_used.used_on + 2)::timestamp AT TIME ZONE 'UTC'));
END $$;

CREATE OR REPLACE FUNCTION ensure_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
    day date;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7478111, 1);
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        FOREACH parent IN ARRAY ARRAY['run', 'run_end', 'attempt', 'run_event', 'log_chunk', 'artifact', 'collected'] LOOP
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

SELECT ensure_partitions(day, day)
FROM (SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'run'::regclass) days;

-- As before, with the bytes of artifacts.
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
        DELETE FROM usage_delta WHERE txid >= since RETURNING ns_id, day, runs, log_bytes, artifact_bytes
    ),
    added AS (
        INSERT INTO usage AS u (ns_id, day, runs, log_bytes, artifact_bytes)
        SELECT ns_id, day, sum(runs), sum(log_bytes), sum(artifact_bytes) FROM gone GROUP BY ns_id, day
        ON CONFLICT (ns_id, day) DO UPDATE
        SET runs = u.runs + excluded.runs, log_bytes = u.log_bytes + excluded.log_bytes,
            artifact_bytes = u.artifact_bytes + excluded.artifact_bytes,
            -- A run of the day may have ended after all others: there is something to be removed again.
            logs_swept = u.logs_swept AND excluded.log_bytes <= 0 AND excluded.artifact_bytes <= 0
    )
    SELECT count(*) INTO folded FROM gone;
    -- After a restore into another server the mark may be of another count of transactions: then it is set as well.
    UPDATE usage_folded SET before = ended WHERE folded > 0 OR before > ended;
    RETURN folded;
END $$;

-- The changes that are not added up, of these namespaces; in the snapshot of the statement that asks. The previous release
-- calls unfolded_usage, which has no bytes of artifacts.
CREATE FUNCTION unfolded_storage(namespaces int[])
    RETURNS TABLE (ns_id int, runs bigint, log_bytes bigint, artifact_bytes bigint)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
BEGIN
    RETURN QUERY SELECT d.ns_id, d.runs, d.log_bytes, d.artifact_bytes
                 FROM usage_delta d
                 WHERE d.txid >= usage_folded_before() AND d.ns_id = ANY(namespaces);
END $$;

-- As before, with the artifacts: they go with the logs.
CREATE OR REPLACE FUNCTION drop_day(day date, only_logs boolean, today date) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    -- So many runs that ended late are copied.
    most_late constant int := 1000;
    suffix text := '_' || to_char(day, 'YYYYMMDD');
    low uuid := id_floor(day::timestamp AT TIME ZONE 'UTC');
    high uuid := id_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
    parents text[] := CASE WHEN only_logs THEN ARRAY['log_chunk', 'artifact', 'collected']
                           ELSE ARRAY['run', 'run_end', 'attempt', 'run_event', 'log_chunk', 'artifact', 'collected'] END;
    late uuid[];
    stays uuid[];
    parent text;
    is_open boolean;
    has_rest boolean := false;
    held boolean := false;
BEGIN
    -- Another replica may have been faster.
    IF to_regclass('run' || suffix) IS NULL THEN
        RETURN 'dropped';
    END IF;
    -- Nobody makes a run of the day from here on. Only schedules that catch up would: they say so first, and leave a day
    -- that is being dropped for later. Who does not say so is kept off by a lock of the partition. Neither is waited for
    -- for long, since others would wait behind.
    FOR round IN 1..10 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '100ms', true);
            PERFORM pg_advisory_xact_lock(7478115, day - date '1970-01-01');
            EXECUTE format('LOCK TABLE ONLY %I IN SHARE MODE', 'run' || suffix);
            held := true;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1 + random() * 0.1);
        END;
    END LOOP;
    IF NOT held THEN
        RETURN 'busy';
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I r WHERE NOT EXISTS (SELECT FROM %I e WHERE e.run_id = r.id))',
                   'run' || suffix, 'run_end' || suffix)
        INTO is_open;
    IF is_open THEN
        RETURN 'unfinished';
    END IF;
    -- Nobody pins a run of the day from here on.
    PERFORM lock_day(day, true);
    late := ARRAY(SELECT e.run_id
                  FROM run_end e JOIN namespace n ON n.id = e.ns_id
                  WHERE e.run_id >= low AND e.run_id < high
                    AND NOT is_over(e.finished_at, CASE WHEN only_logs THEN n.logs_days ELSE n.runs_days END, today)
                    AND NOT EXISTS (SELECT FROM keep k WHERE k.run_id = e.run_id)
                  LIMIT most_late + 1);
    IF cardinality(late) > most_late THEN
        RETURN 'unfinished';
    END IF;
    stays := late || ARRAY(SELECT k.run_id FROM keep k WHERE k.run_id >= low AND k.run_id < high);
    FOREACH parent IN ARRAY CASE WHEN only_logs THEN parents ELSE ARRAY['run'] END LOOP
        CONTINUE WHEN has_rest OR to_regclass(parent || suffix) IS NULL;
        has_rest := late = '{}';
        CONTINUE WHEN has_rest;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE NOT %I = ANY($1))', parent || suffix,
                       CASE parent WHEN 'run' THEN 'id' ELSE 'run_id' END)
            INTO has_rest USING stays;
    END LOOP;
    FOREACH parent IN ARRAY parents LOOP
        CONTINUE WHEN NOT has_rest OR stays = '{}' OR to_regclass(parent || suffix) IS NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', parent || suffix || '_kept', parent);
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I = ANY($1)', parent || suffix || '_kept', parent,
                       CASE parent WHEN 'run' THEN 'id' ELSE 'run_id' END)
            USING stays;
    END LOOP;

    PERFORM fold_usage(true);
    UPDATE usage u
    SET runs = CASE WHEN only_logs THEN u.runs
                    ELSE (SELECT count(*) FROM run r WHERE r.id = ANY(stays) AND r.ns_id = u.ns_id) END,
        log_bytes = (SELECT coalesce(sum(a.stdout_bytes + a.stderr_bytes), 0)
                     FROM run r JOIN attempt a ON a.run_id = r.id
                     WHERE r.id = ANY(stays) AND r.ns_id = u.ns_id
                       AND EXISTS (SELECT FROM log_chunk c WHERE c.run_id = a.run_id AND c.attempt = a.attempt)),
        artifact_bytes = (SELECT coalesce(sum(a.artifact_bytes), 0)
                          FROM run r JOIN attempt a ON a.run_id = r.id
                          WHERE r.id = ANY(stays) AND r.ns_id = u.ns_id
                            AND EXISTS (SELECT FROM collected c WHERE c.run_id = a.run_id AND c.attempt = a.attempt)),
        logs_removed_at = coalesce(u.logs_removed_at, clock_timestamp()),
        -- What ended late is looked at again: its logs may be over before the runs are.
        logs_swept = NOT EXISTS (SELECT FROM run r WHERE r.id = ANY(late) AND r.ns_id = u.ns_id),
        logs_again = CASE WHEN only_logs AND late <> '{}' THEN today + 1 END
    WHERE u.day = drop_day.day;
    DELETE FROM usage u WHERE u.day = drop_day.day AND u.runs = 0;
    IF NOT has_rest THEN
        RETURN 'kept';
    END IF;

    -- All others wait behind whoever waits for these locks: so never for long, and rather again.
    held := false;
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
