-- What attempts said about themselves: result data, metrics, summaries. It goes with the runs of its day, not with their logs:
-- it is small, and what a run measured is looked at for as long as the run.
-- Locks: none but those of new tables. The partitions of all days that are there are made.
--
-- The previous release runs on this schema: it writes and removes nothing of this table. What it leaves of runs that it
-- removes goes with the day. It makes and drops days by the functions of this file.

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

CREATE OR REPLACE FUNCTION ensure_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
    day date;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7478111, 1);
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        FOREACH parent IN ARRAY ARRAY['run', 'run_end', 'attempt', 'run_event', 'log_chunk', 'artifact', 'collected',
                                      'output'] LOOP
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

-- As before, with what attempts said: it goes with the runs.
CREATE OR REPLACE FUNCTION drop_day(day date, only_logs boolean, today date) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    -- So many runs that ended late are copied.
    most_late constant int := 1000;
    suffix text := '_' || to_char(day, 'YYYYMMDD');
    low uuid := id_floor(day::timestamp AT TIME ZONE 'UTC');
    high uuid := id_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
    parents text[] := CASE WHEN only_logs THEN ARRAY['log_chunk', 'artifact', 'collected']
                           ELSE ARRAY['run', 'run_end', 'attempt', 'run_event', 'log_chunk', 'artifact', 'collected',
                                      'output'] END;
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
