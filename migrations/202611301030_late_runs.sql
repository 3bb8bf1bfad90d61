-- Retention keeps what ended late for its time after the end, and gives way to schedules that catch up.
-- Locks: `usage` for a moment (ACCESS EXCLUSIVE, nothing is rewritten).
--
-- The previous release calls drop_day(day, only_logs), which goes by the database's day and says no word that it does not
-- know. It removes what ended late with its day, and its schedules do not say which days they make runs of: they wait for
-- a day that is being dropped as they did.

-- Before this day there is nothing more to be removed of the day's logs: what is left ended late.
ALTER TABLE usage ADD COLUMN logs_again date;

-- Whether the time of what ended then is over: the day itself, and so many days after it.
CREATE FUNCTION is_over(ended_at timestamptz, days int, today date) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (ended_at AT TIME ZONE 'UTC')::date + days < today
$$;

-- Drops the partitions of a day, or only that of its logs, as seen on the day `today`. Runs that are pinned, and those
-- whose time after their end is not over, are carried over into new ones. Says what became of it: `dropped`; `kept` when
-- there was nothing to be dropped; `unfinished` when a run of the day has not ended, or many ended late, so that rows are to
-- be removed one by one; `busy` when somebody uses the tables for longer than others may be made to wait. In the last two
-- cases the caller rolls back.
CREATE FUNCTION drop_day(day date, only_logs boolean, today date) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    -- So many runs that ended late are copied.
    most_late constant int := 1000;
    suffix text := '_' || to_char(day, 'YYYYMMDD');
    low uuid := id_floor(day::timestamp AT TIME ZONE 'UTC');
    high uuid := id_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
    parents text[] := CASE WHEN only_logs THEN ARRAY['log_chunk']
                           ELSE ARRAY['run', 'run_end', 'attempt', 'run_event', 'log_chunk'] END;
    late uuid[];
    stays uuid[];
    parent text;
    is_open boolean;
    has_rest boolean;
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
    has_rest := NOT only_logs OR to_regclass('log_chunk' || suffix) IS NOT NULL;
    IF has_rest AND late <> '{}' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE NOT %I = ANY($1))', parents[1] || suffix,
                       CASE WHEN only_logs THEN 'run_id' ELSE 'id' END)
            INTO has_rest USING stays;
    END IF;
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

-- For the previous release.
CREATE OR REPLACE FUNCTION drop_day(day date, only_logs boolean) RETURNS text
    LANGUAGE sql AS $$
    SELECT CASE said WHEN 'kept' THEN 'dropped' ELSE said END
    FROM drop_day(day, only_logs, (now() AT TIME ZONE 'UTC')::date) said
$$;
