-- The schema that the migrations make, for reviewers. Written by ./scripts/gen; never edited.

CREATE FUNCTION public.cases_of(run uuid, nth smallint) RETURNS jsonb
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN (SELECT j.counts FROM judged j WHERE j.run_id = run AND j.attempt = nth);
END $$;

CREATE FUNCTION public.config_of(run uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN (SELECT r.config_id FROM run r WHERE r.id = config_of.run);
END $$;

CREATE FUNCTION public.digested_before() RETURNS xid8
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN before <= pg_snapshot_xmin(pg_current_snapshot()) THEN before ELSE '0' END FROM digested
$$;

CREATE FUNCTION public.drop_day(day date, only_logs boolean) RETURNS text
    LANGUAGE sql
    AS $$
    SELECT CASE said WHEN 'kept' THEN 'dropped' ELSE said END
    FROM drop_day(day, only_logs, (now() AT TIME ZONE 'UTC')::date) said
$$;

CREATE FUNCTION public.drop_day(day date, only_logs boolean, today date) RETURNS text
    LANGUAGE plpgsql
    AS $_$
DECLARE
    -- So many runs that ended late are copied.
    most_late constant int := 1000;
    suffix text := '_' || to_char(day, 'YYYYMMDD');
    low uuid := id_floor(day::timestamp AT TIME ZONE 'UTC');
    high uuid := id_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
    parents text[] := CASE WHEN only_logs THEN tables_of_logs() ELSE tables_of_runs() END;
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
END $_$;

CREATE FUNCTION public.ensure_partitions(first date, last date) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    parent text;
    child text;
    day date;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7478111, 1);
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        FOREACH parent IN ARRAY tables_of_runs() LOOP
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

CREATE FUNCTION public.events_between(since xid8, since_id bigint, before xid8, most integer) RETURNS TABLE(txid xid8, id bigint, run_id uuid, at timestamp with time zone, state_to text, attempt smallint, result text)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT e.txid, e.id, e.run_id, e.at, e.state_to, e.attempt, e.result
    FROM run_event e
    WHERE e.txid >= since AND e.txid < before AND (e.txid > since OR e.id > since_id)
      -- A dump that was restored brings events of transactions that this server has yet to come to.
      AND e.at > clock_timestamp() - interval '25 hours'
    ORDER BY e.txid, e.id
    LIMIT most;
END $$;

CREATE FUNCTION public.fold_usage(wait boolean) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
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

CREATE FUNCTION public.has_collected(run uuid, nth smallint) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM collected c WHERE c.run_id = run AND c.attempt = nth);
END $$;

CREATE FUNCTION public.has_events_from(since xid8) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM run_event e
        WHERE e.txid >= since AND e.txid < pg_snapshot_xmax(pg_current_snapshot())
          AND e.at > clock_timestamp() - interval '25 hours');
END $$;

CREATE FUNCTION public.id_day(id uuid) RETURNS date
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT date '1970-01-01' + (('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 86400000)::int
$$;

CREATE FUNCTION public.id_floor(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

CREATE FUNCTION public.is_blob_used(key uuid, used_on date) RETURNS boolean
    LANGUAGE plpgsql STRICT
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM artifact a
                   WHERE a.blob = is_blob_used.key
                     AND a.run_id < id_floor((is_blob_used.used_on + 2)::timestamp AT TIME ZONE 'UTC'));
END $$;

CREATE FUNCTION public.is_over(ended_at timestamp with time zone, days integer, today date) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT (ended_at AT TIME ZONE 'UTC')::date + days < today
$$;

CREATE FUNCTION public.lock_day(day date, removing boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF removing THEN
        PERFORM pg_advisory_xact_lock(7478114, day - date '1970-01-01');
    ELSE
        PERFORM pg_advisory_xact_lock_shared(7478114, day - date '1970-01-01');
    END IF;
END $$;

CREATE FUNCTION public.origin_of(run uuid) RETURNS TABLE(test_id uuid, config_id bigint, queue_secs integer)
    LANGUAGE plpgsql STABLE STRICT ROWS 1
    AS $$
BEGIN
    RETURN QUERY SELECT r.test_id, r.config_id, r.queue_secs FROM run r WHERE r.id = origin_of.run;
END $$;

CREATE FUNCTION public.run_event_is_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('tstr.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'run_event is append-only' USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION public.stored_of(run uuid, nth smallint) RETURNS TABLE(stdout bigint, stdout_cut bigint, stderr bigint, stderr_cut bigint, detail jsonb)
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN QUERY
    SELECT coalesce(sum(last.next - last.cut) FILTER (WHERE s.stream = 1), 0)::bigint,
           coalesce(sum(last.cut) FILTER (WHERE s.stream = 1), 0)::bigint,
           coalesce(sum(last.next - last.cut) FILTER (WHERE s.stream = 2), 0)::bigint,
           coalesce(sum(last.cut) FILTER (WHERE s.stream = 2), 0)::bigint,
           CASE WHEN sum(last.cut) > 0
                THEN jsonb_build_object('cuts', jsonb_agg(last.told ORDER BY s.stream) FILTER (WHERE last.cut > 0))
           END
    FROM (VALUES (1, 'stdout'), (2, 'stderr')) AS s(stream, word)
    CROSS JOIN LATERAL (
        SELECT k.start + coalesce(k.raw_bytes, octet_length(k.body)) AS next, coalesce(k.cut_bytes, 0) AS cut,
               jsonb_build_object('stream', s.word, 'offset', k.cut_at, 'bytes', k.cut_bytes) AS told
        FROM log_chunk k
        WHERE k.run_id = stored_of.run AND k.attempt = nth AND k.stream = s.stream
        ORDER BY k.start DESC
        LIMIT 1
    ) last;
END $$;

CREATE FUNCTION public.tables_of_logs() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['log_chunk'::text, 'artifact'::text, 'collected'::text];

CREATE FUNCTION public.tables_of_runs() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['standing'::text, 'report_case'::text, 'report'::text, 'judged'::text, 'run'::text, 'run_end'::text, 'attempt'::text, 'run_event'::text, 'log_chunk'::text, 'artifact'::text, 'collected'::text, 'output'::text];

CREATE FUNCTION public.take_undigested(most integer) RETURNS SETOF uuid
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    since xid8;
    ended xid8;
    last  xid8;
    taken uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(7478111, 5) THEN
        RETURN;
    END IF;
    -- All transactions before this one have ended, so the statement after this one sees all that they wrote.
    SELECT digested_before(), pg_snapshot_xmin(pg_current_snapshot()) INTO since, ended;
    WITH gone AS (
        DELETE FROM undigested
        WHERE ctid = ANY(ARRAY(SELECT u.ctid FROM undigested u WHERE u.txid >= since ORDER BY u.txid LIMIT most))
        RETURNING run_id, txid
    )
    SELECT array_agg(run_id), max(txid) INTO taken, last FROM gone;
    -- Where some are left, they are of the last transaction that was taken or of later ones.
    UPDATE digested d SET before = CASE WHEN cardinality(taken) >= most THEN least(last, ended) ELSE ended END
    WHERE taken IS NOT NULL OR d.before > ended;
    RETURN QUERY SELECT unnest(taken);
END $$;

CREATE FUNCTION public.tells_subject(body json) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT coalesce(body #>> '{run_config,network}', 'none') = 'none'
        OR coalesce(body -> 'annotations' ->> 'tstr.revision', body #>> '{run_config,env,TSTR_REVISION}', '') <> ''
$$;

CREATE FUNCTION public.undigested_runs(most integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY SELECT u.run_id FROM undigested u WHERE u.txid >= digested_before() ORDER BY u.txid LIMIT most;
END $$;

CREATE FUNCTION public.unfolded_storage(namespaces integer[]) RETURNS TABLE(ns_id integer, runs bigint, log_bytes bigint, artifact_bytes bigint)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY SELECT d.ns_id, d.runs, d.log_bytes, d.artifact_bytes
                 FROM usage_delta d
                 WHERE d.txid >= usage_folded_before() AND d.ns_id = ANY(namespaces);
END $$;

CREATE FUNCTION public.unfolded_usage(namespaces integer[]) RETURNS TABLE(ns_id integer, runs bigint, log_bytes bigint)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY SELECT d.ns_id, d.runs, d.log_bytes
                 FROM usage_delta d
                 WHERE d.txid >= usage_folded_before() AND d.ns_id = ANY(namespaces);
END $$;

CREATE FUNCTION public.usage_folded_before() RETURNS xid8
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN before <= pg_snapshot_xmin(pg_current_snapshot()) THEN before ELSE '0' END FROM usage_folded
$$;

CREATE TABLE public.artifact (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    path text NOT NULL,
    blob uuid NOT NULL,
    sha256 bytea NOT NULL,
    bytes bigint NOT NULL,
    media_type text NOT NULL,
    CONSTRAINT artifact_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT artifact_path_check CHECK (((octet_length(path) >= 1) AND (octet_length(path) <= 512)))
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.attempt (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    lease_id uuid NOT NULL,
    runner_id uuid NOT NULL,
    leased_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone NOT NULL,
    result text,
    reason text,
    message text,
    exit_code integer,
    image_digest text,
    log_status text NOT NULL,
    stdout_bytes bigint NOT NULL,
    stdout_dropped bigint NOT NULL,
    stdout_sha256 bytea,
    stderr_bytes bigint NOT NULL,
    stderr_dropped bigint NOT NULL,
    stderr_sha256 bytea,
    log_detail jsonb,
    artifact_files integer,
    artifact_bytes bigint
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.blob (
    key uuid NOT NULL,
    ns_id integer NOT NULL,
    sha256 bytea NOT NULL,
    bytes bigint NOT NULL,
    stored_at timestamp with time zone,
    used_on date DEFAULT ((now() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    hidden_on date,
    tried_at timestamp with time zone,
    CONSTRAINT blob_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT blob_hidden_check CHECK (((stored_at IS NULL) OR (hidden_on IS NULL))),
    CONSTRAINT blob_sha256_check CHECK ((octet_length(sha256) = 32))
);

CREATE TABLE public.cancel_order (
    run_id uuid NOT NULL,
    actor text NOT NULL,
    message text NOT NULL,
    ordered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.case_key (
    case_id uuid NOT NULL,
    ns_id integer NOT NULL,
    test_id uuid NOT NULL,
    suite jsonb NOT NULL,
    classname text,
    name text NOT NULL,
    file text,
    own_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.case_state (
    cell_id integer NOT NULL,
    case_id uuid NOT NULL,
    standing text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    first_seen_run uuid NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    last_seen_run uuid NOT NULL,
    fails boolean,
    since_at timestamp with time zone,
    since_run uuid,
    since_runs integer,
    absent_at timestamp with time zone,
    absent_run uuid,
    absent_runs integer,
    complete_absences integer DEFAULT 0 NOT NULL,
    last_pass_at timestamp with time zone,
    last_pass_run uuid,
    last_fail_at timestamp with time zone,
    last_fail_run uuid,
    duration_ms bigint,
    status text DEFAULT 'healthy'::text NOT NULL,
    label text DEFAULT 'healthy'::text NOT NULL,
    changed_at timestamp with time zone,
    findings jsonb
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05');

CREATE TABLE public.case_state_before (
    cell_id integer NOT NULL,
    case_id uuid NOT NULL,
    standing text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    first_seen_run uuid NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    last_seen_run uuid NOT NULL,
    fails boolean,
    since_at timestamp with time zone,
    since_run uuid,
    since_runs integer,
    absent_at timestamp with time zone,
    absent_run uuid,
    absent_runs integer,
    complete_absences integer NOT NULL,
    last_pass_at timestamp with time zone,
    last_pass_run uuid,
    last_fail_at timestamp with time zone,
    last_fail_run uuid,
    duration_ms bigint,
    status text NOT NULL,
    label text NOT NULL,
    changed_at timestamp with time zone,
    findings jsonb
);

CREATE TABLE public.cell (
    id integer NOT NULL,
    ns_id integer NOT NULL,
    test_id uuid NOT NULL,
    labels_hash bytea NOT NULL,
    labels jsonb NOT NULL,
    strip text DEFAULT ''::text NOT NULL,
    status text DEFAULT 'healthy'::text NOT NULL,
    label text DEFAULT 'healthy'::text NOT NULL,
    changed_at timestamp with time zone,
    findings jsonb,
    last_run uuid,
    last_at timestamp with time zone,
    last_result text,
    CONSTRAINT cell_hash_check CHECK ((octet_length(labels_hash) = 16))
)
WITH (fillfactor='70');

ALTER TABLE public.cell ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.cell_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.cell_memory (
    cell_id integer NOT NULL,
    told_at timestamp with time zone NOT NULL,
    told_run uuid NOT NULL
);

CREATE TABLE public.cell_window (
    cell_id integer NOT NULL,
    runs bytea NOT NULL
);
ALTER TABLE ONLY public.cell_window ALTER COLUMN runs SET STORAGE EXTERNAL;

CREATE TABLE public.class (
    id integer NOT NULL,
    ns_id integer NOT NULL,
    labels_hash bytea NOT NULL,
    labels jsonb NOT NULL,
    used_on date DEFAULT ((now() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    CONSTRAINT class_hash_check CHECK ((octet_length(labels_hash) = 16)),
    CONSTRAINT class_lane_check CHECK ((id < 536870912))
);

ALTER TABLE public.class ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.class_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.collected (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    files integer NOT NULL,
    bytes bigint NOT NULL,
    notes jsonb NOT NULL
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.config (
    id bigint NOT NULL,
    hash bytea NOT NULL,
    body json NOT NULL,
    budget_secs integer NOT NULL,
    on_fail smallint NOT NULL,
    on_infrastructure smallint NOT NULL,
    at_most_once boolean NOT NULL,
    log_limit bigint NOT NULL,
    fail_fast boolean DEFAULT false NOT NULL,
    used_on date DEFAULT ((now() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    CONSTRAINT config_hash_check CHECK ((octet_length(hash) = 32))
);

ALTER TABLE public.config ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.config_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.control_failure (
    ns_id integer NOT NULL,
    runner_id uuid NOT NULL,
    since timestamp with time zone NOT NULL,
    failed_at timestamp with time zone NOT NULL
);

CREATE TABLE public.delayed (
    due timestamp with time zone NOT NULL,
    run_id uuid NOT NULL,
    lane integer NOT NULL,
    seq bigint NOT NULL,
    attempt smallint DEFAULT 0 NOT NULL,
    infra_losses smallint DEFAULT 0 NOT NULL,
    test_retries smallint DEFAULT 0 NOT NULL,
    releases smallint DEFAULT 0 NOT NULL,
    queue_secs integer NOT NULL
);

CREATE TABLE public.digested (
    the_only_row boolean DEFAULT true NOT NULL,
    before xid8 NOT NULL,
    CONSTRAINT digested_row_check CHECK (the_only_row)
);

CREATE TABLE public.gate (
    key uuid NOT NULL,
    kind text NOT NULL,
    ns_id integer NOT NULL,
    name text,
    slots smallint NOT NULL,
    CONSTRAINT gate_kind_check CHECK ((kind = ANY (ARRAY['group'::text, 'cell'::text, 'matrix'::text]))),
    CONSTRAINT gate_name_check CHECK (((kind = 'group'::text) = (name IS NOT NULL))),
    CONSTRAINT gate_slots_check CHECK (((slots >= 1) AND (slots <= 1000)))
)
WITH (fillfactor='80');

CREATE TABLE public.gated (
    run_id uuid NOT NULL,
    ns_id integer NOT NULL,
    matrix_id uuid NOT NULL,
    group_key uuid,
    group_slot smallint,
    policy text,
    depth smallint,
    overflow text,
    max_parallel smallint,
    matrix_slot smallint,
    lane integer NOT NULL,
    seq bigint NOT NULL,
    due timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    parked boolean GENERATED ALWAYS AS (((due IS NOT NULL) OR ((group_key IS NOT NULL) AND (group_slot IS NULL)) OR ((max_parallel IS NOT NULL) AND (matrix_slot IS NULL)))) STORED NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.idempotency (
    ns_id integer NOT NULL,
    principal uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    response json,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.judged (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    result text NOT NULL,
    counts jsonb,
    body jsonb NOT NULL
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.keep (
    run_id uuid NOT NULL,
    ns_id integer NOT NULL,
    kept_by text NOT NULL,
    kept_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    note text
);

CREATE TABLE public.lease (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    lease_id uuid DEFAULT gen_random_uuid() NOT NULL,
    runner_id uuid NOT NULL,
    ns_id integer NOT NULL,
    lane integer NOT NULL,
    seq bigint NOT NULL,
    claim_id uuid NOT NULL,
    leased_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    hard_deadline timestamp with time zone,
    cancel_requested_at timestamp with time zone,
    cancelled_by text,
    budget_secs integer NOT NULL,
    infra_losses smallint NOT NULL,
    test_retries smallint NOT NULL,
    releases smallint NOT NULL,
    cancel_note text,
    config_id bigint,
    test_id uuid,
    collecting_at timestamp with time zone,
    artifact_files integer,
    artifact_bytes bigint,
    uploaded_bytes bigint
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.ledger (
    test_id uuid NOT NULL,
    scheduled_for timestamp with time zone NOT NULL,
    ns_id integer NOT NULL,
    outcome text NOT NULL,
    reason text,
    late_ms bigint,
    matrix_id uuid,
    runs integer DEFAULT 0 NOT NULL,
    until timestamp with time zone,
    instants integer DEFAULT 1 NOT NULL,
    noted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ledger_outcome_check CHECK ((outcome = ANY (ARRAY['ran'::text, 'skipped'::text, 'missed'::text]))),
    CONSTRAINT ledger_ran_check CHECK (((outcome <> 'ran'::text) OR ((matrix_id IS NOT NULL) AND (runs > 0)))),
    CONSTRAINT ledger_reason_check CHECK ((((outcome = 'ran'::text) = (reason IS NULL)) AND ((reason IS NULL) OR (reason = ANY (ARRAY['concurrency'::text, 'quota'::text, 'storage_full'::text, 'paused'::text, 'unreadable'::text, 'deadline'::text, 'catch_up'::text]))))),
    CONSTRAINT ledger_stretch_check CHECK ((((instants > 1) <= (until IS NOT NULL)) AND (instants > 0) AND (until >= scheduled_for)))
);

CREATE TABLE public.log_chunk (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    seq integer NOT NULL,
    stream smallint NOT NULL,
    start bigint NOT NULL,
    reported_at timestamp with time zone NOT NULL,
    body bytea NOT NULL,
    raw_bytes integer,
    place bigint,
    cut_at bigint,
    cut_bytes bigint,
    sha256_state bytea
)
PARTITION BY RANGE (run_id);
ALTER TABLE ONLY public.log_chunk ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE public.namespace (
    id integer NOT NULL,
    name text NOT NULL,
    max_queued integer,
    max_running integer,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    runs_days integer DEFAULT 90 NOT NULL,
    logs_days integer DEFAULT 30 NOT NULL,
    max_bytes bigint,
    CONSTRAINT namespace_bytes_check CHECK ((max_bytes >= 0)),
    CONSTRAINT namespace_name_check CHECK ((name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'::text)),
    CONSTRAINT namespace_quotas_check CHECK (((max_queued >= 0) AND (max_running >= 0))),
    CONSTRAINT namespace_retention_check CHECK (((logs_days >= 1) AND (logs_days <= runs_days) AND (runs_days <= 3650)))
);

ALTER TABLE public.namespace ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.namespace_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.output (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    data jsonb NOT NULL,
    metrics jsonb NOT NULL,
    notes jsonb NOT NULL,
    summary text,
    summary_cut boolean NOT NULL
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.paused_schedule (
    test_id uuid NOT NULL,
    since timestamp with time zone NOT NULL
);

CREATE TABLE public.quarantine (
    test_id uuid NOT NULL,
    case_id uuid NOT NULL,
    ns_id integer NOT NULL,
    mode text NOT NULL,
    owner text NOT NULL,
    reason text NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    until timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT quarantine_mode_check CHECK ((mode = ANY (ARRAY['mute'::text, 'skip'::text]))),
    CONSTRAINT quarantine_until_check CHECK ((until > since))
);

CREATE TABLE public.ready (
    lane integer NOT NULL,
    seq bigint NOT NULL,
    run_id uuid NOT NULL,
    attempt smallint DEFAULT 0 NOT NULL,
    infra_losses smallint DEFAULT 0 NOT NULL,
    test_retries smallint DEFAULT 0 NOT NULL,
    releases smallint DEFAULT 0 NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    config_id bigint,
    test_id uuid
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

CREATE SEQUENCE public.ready_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 32;

CREATE TABLE public.report (
    run_id uuid NOT NULL,
    attempt smallint NOT NULL,
    report smallint NOT NULL,
    path text NOT NULL,
    body jsonb NOT NULL
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.report_case (
    run_id uuid NOT NULL,
    case_id uuid NOT NULL,
    cell_id integer NOT NULL,
    attempt smallint NOT NULL,
    report smallint NOT NULL,
    place integer NOT NULL,
    ordinal integer NOT NULL,
    status text NOT NULL,
    flaky boolean NOT NULL,
    muted boolean NOT NULL,
    failed_attempts smallint NOT NULL,
    duration_ms bigint,
    message text,
    detail bytea,
    raw_bytes integer
)
PARTITION BY RANGE (run_id);
ALTER TABLE ONLY public.report_case ALTER COLUMN detail SET STORAGE EXTERNAL;

CREATE TABLE public.rollup (
    ns_id integer NOT NULL,
    dim smallint NOT NULL,
    grain smallint NOT NULL,
    at timestamp with time zone NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    pass bigint NOT NULL,
    fail bigint NOT NULL,
    error bigint NOT NULL,
    timed_out bigint NOT NULL,
    cancelled bigint NOT NULL,
    flaky bigint NOT NULL,
    attempts bigint NOT NULL,
    wait_ms bigint NOT NULL,
    duration_ms bigint NOT NULL,
    busy_ms bigint NOT NULL,
    waits bytea NOT NULL,
    durations bytea NOT NULL
)
WITH (fillfactor='60', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.run (
    id uuid NOT NULL,
    ns_id integer NOT NULL,
    test_id uuid NOT NULL,
    matrix_id uuid NOT NULL,
    class_id integer NOT NULL,
    config_id bigint NOT NULL,
    priority smallint NOT NULL,
    seq bigint NOT NULL,
    queue_secs integer NOT NULL,
    trigger text NOT NULL,
    scheduled_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    created_by text NOT NULL
)
PARTITION BY RANGE (id);

CREATE TABLE public.run_end (
    run_id uuid NOT NULL,
    ns_id integer NOT NULL,
    test_id uuid NOT NULL,
    class_id integer NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    attempt smallint NOT NULL,
    result text NOT NULL,
    reason text,
    message text,
    exit_code integer,
    flaky boolean NOT NULL,
    runner_id uuid,
    image_digest text,
    leased_at timestamp with time zone,
    started_at timestamp with time zone,
    log_status text NOT NULL,
    log_bytes bigint NOT NULL,
    log_dropped bigint NOT NULL,
    log_detail jsonb,
    artifact_files integer,
    artifact_bytes bigint
)
PARTITION BY RANGE (run_id);

CREATE SEQUENCE public.run_event_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 32;

CREATE TABLE public.run_event (
    run_id uuid NOT NULL,
    id bigint DEFAULT nextval('public.run_event_seq'::regclass) NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    txid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    state_from text,
    state_to text NOT NULL,
    attempt smallint NOT NULL,
    lease_id uuid,
    result text,
    reason text,
    actor text NOT NULL
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.runner (
    id uuid NOT NULL,
    name text NOT NULL,
    token_id uuid NOT NULL,
    namespaces text[] NOT NULL,
    accept jsonb NOT NULL,
    reject jsonb NOT NULL,
    slots smallint NOT NULL,
    about jsonb NOT NULL,
    draining boolean DEFAULT false NOT NULL,
    registered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    unfit text,
    CONSTRAINT runner_slots_check CHECK (((slots >= 1) AND (slots <= 1024))),
    CONSTRAINT runner_unfit_check CHECK ((unfit = ANY (ARRAY['disk_low'::text, 'breaker'::text])))
)
WITH (fillfactor='30', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

CREATE VIEW public.runs AS
 SELECT r.id AS run_id,
    n.name AS namespace,
    r.test_id,
    r.matrix_id,
    c.labels,
    r.priority,
    r.trigger,
        CASE
            WHEN (e.run_id IS NOT NULL) THEN 'finished'::text
            WHEN (l.started_at IS NOT NULL) THEN 'running'::text
            WHEN (l.run_id IS NOT NULL) THEN 'leased'::text
            ELSE 'queued'::text
        END AS state,
    e.result,
    e.reason,
    e.exit_code,
    COALESCE(e.flaky, false) AS flaky,
    COALESCE(l.attempt, e.attempt) AS attempt,
    COALESCE(l.runner_id, e.runner_id) AS runner_id,
    l.lease_id,
    l.expires_at,
    l.cancel_requested_at,
    r.scheduled_at,
    r.created_at,
    COALESCE(l.leased_at, e.leased_at) AS leased_at,
    COALESCE(l.started_at, e.started_at) AS started_at,
    e.finished_at
   FROM ((((public.run r
     JOIN public.namespace n ON ((n.id = r.ns_id)))
     JOIN public.class c ON ((c.id = r.class_id)))
     LEFT JOIN public.lease l ON ((l.run_id = r.id)))
     LEFT JOIN public.run_end e ON ((e.run_id = r.id)));

CREATE TABLE public.runs_removed (
    ns_id integer NOT NULL,
    before date NOT NULL
);

CREATE TABLE public.saved_view (
    ns_id integer NOT NULL,
    owner uuid,
    name text NOT NULL,
    page text NOT NULL,
    query text NOT NULL,
    saved_by text NOT NULL,
    saved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.schedule (
    test_id uuid NOT NULL,
    next_at timestamp with time zone NOT NULL
);

CREATE TABLE public.session_code (
    hash bytea NOT NULL,
    token_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT session_code_hash_check CHECK ((octet_length(hash) = 32))
);

CREATE TABLE public.signing_key (
    kid text NOT NULL,
    public_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retired_at timestamp with time zone
);

CREATE TABLE public.standing (
    run_id uuid NOT NULL,
    case_id uuid NOT NULL,
    standing text NOT NULL,
    since_at timestamp with time zone,
    since_run uuid,
    since_runs integer,
    failed_at timestamp with time zone,
    failed_run uuid,
    failed_runs integer
)
PARTITION BY RANGE (run_id);

CREATE TABLE public.sweep (
    name text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.test (
    id uuid NOT NULL,
    ns_id integer NOT NULL,
    name text NOT NULL,
    doc json NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT test_version_check CHECK ((version > 0))
);

CREATE TABLE public.test_version (
    test_id uuid NOT NULL,
    version integer NOT NULL,
    doc json NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    changed_by text
);

CREATE TABLE public.token (
    id uuid NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    namespaces text[] NOT NULL,
    issued_by uuid,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT token_expiry_check CHECK ((expires_at > created_at)),
    CONSTRAINT token_scopes_check CHECK (((scopes <@ ARRAY['admin'::text, 'control'::text, 'data'::text, 'runner'::text]) AND (cardinality(scopes) > 0)))
);

CREATE TABLE public.undigested (
    run_id uuid NOT NULL,
    txid xid8 DEFAULT pg_current_xact_id() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.untold (
    run_id uuid NOT NULL,
    cell_id integer NOT NULL,
    attempt smallint NOT NULL,
    finished_at timestamp with time zone NOT NULL
);

CREATE TABLE public.usage (
    ns_id integer NOT NULL,
    day date NOT NULL,
    runs bigint NOT NULL,
    log_bytes bigint NOT NULL,
    logs_removed_at timestamp with time zone,
    logs_swept boolean DEFAULT false NOT NULL,
    logs_again date,
    artifact_bytes bigint DEFAULT 0 NOT NULL
);

CREATE TABLE public.usage_delta (
    ns_id integer NOT NULL,
    day date NOT NULL,
    runs bigint NOT NULL,
    log_bytes bigint NOT NULL,
    txid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    artifact_bytes bigint DEFAULT 0 NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.usage_folded (
    the_only_row boolean DEFAULT true NOT NULL,
    before xid8 NOT NULL,
    CONSTRAINT usage_folded_row_check CHECK (the_only_row)
);

ALTER TABLE ONLY public.artifact
    ADD CONSTRAINT artifact_pkey PRIMARY KEY (run_id, attempt, path);

ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (run_id, attempt);

ALTER TABLE ONLY public.blob
    ADD CONSTRAINT blob_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.cancel_order
    ADD CONSTRAINT cancel_order_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.case_key
    ADD CONSTRAINT case_key_pkey PRIMARY KEY (case_id);

ALTER TABLE ONLY public.case_state_before
    ADD CONSTRAINT case_state_before_pkey PRIMARY KEY (cell_id, case_id);

ALTER TABLE ONLY public.case_state
    ADD CONSTRAINT case_state_pkey PRIMARY KEY (cell_id, case_id);

ALTER TABLE ONLY public.cell
    ADD CONSTRAINT cell_labels_key UNIQUE (test_id, labels_hash);

ALTER TABLE ONLY public.cell_memory
    ADD CONSTRAINT cell_memory_pkey PRIMARY KEY (cell_id);

ALTER TABLE ONLY public.cell
    ADD CONSTRAINT cell_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.cell_window
    ADD CONSTRAINT cell_window_pkey PRIMARY KEY (cell_id);

ALTER TABLE ONLY public.class
    ADD CONSTRAINT class_labels_key UNIQUE (ns_id, labels_hash);

ALTER TABLE ONLY public.class
    ADD CONSTRAINT class_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.collected
    ADD CONSTRAINT collected_pkey PRIMARY KEY (run_id, attempt);

ALTER TABLE ONLY public.config
    ADD CONSTRAINT config_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.config
    ADD CONSTRAINT config_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.control_failure
    ADD CONSTRAINT control_failure_pkey PRIMARY KEY (ns_id, runner_id);

ALTER TABLE ONLY public.delayed
    ADD CONSTRAINT delayed_pkey PRIMARY KEY (due, run_id);

ALTER TABLE ONLY public.digested
    ADD CONSTRAINT digested_pkey PRIMARY KEY (the_only_row);

ALTER TABLE ONLY public.gate
    ADD CONSTRAINT gate_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.gated
    ADD CONSTRAINT gated_group_slot_key UNIQUE (group_key, group_slot);

ALTER TABLE ONLY public.gated
    ADD CONSTRAINT gated_matrix_slot_key UNIQUE (matrix_id, matrix_slot);

ALTER TABLE ONLY public.gated
    ADD CONSTRAINT gated_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (ns_id, principal, key);

ALTER TABLE ONLY public.judged
    ADD CONSTRAINT judged_pkey PRIMARY KEY (run_id, attempt);

ALTER TABLE ONLY public.keep
    ADD CONSTRAINT keep_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (test_id, scheduled_for);

ALTER TABLE ONLY public.log_chunk
    ADD CONSTRAINT log_chunk_pkey PRIMARY KEY (run_id, attempt, seq);

ALTER TABLE ONLY public.namespace
    ADD CONSTRAINT namespace_name_key UNIQUE (name);

ALTER TABLE ONLY public.namespace
    ADD CONSTRAINT namespace_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.output
    ADD CONSTRAINT output_pkey PRIMARY KEY (run_id, attempt);

ALTER TABLE ONLY public.paused_schedule
    ADD CONSTRAINT paused_schedule_pkey PRIMARY KEY (test_id);

ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (test_id, case_id);

ALTER TABLE ONLY public.ready
    ADD CONSTRAINT ready_pkey PRIMARY KEY (lane, seq);

ALTER TABLE ONLY public.report_case
    ADD CONSTRAINT report_case_pkey PRIMARY KEY (run_id, attempt, report, place);

ALTER TABLE ONLY public.report
    ADD CONSTRAINT report_pkey PRIMARY KEY (run_id, attempt, report);

ALTER TABLE ONLY public.rollup
    ADD CONSTRAINT rollup_pkey PRIMARY KEY (ns_id, dim, grain, at, key);

ALTER TABLE ONLY public.run_end
    ADD CONSTRAINT run_end_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.run_event
    ADD CONSTRAINT run_event_pkey PRIMARY KEY (run_id, id);

ALTER TABLE ONLY public.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runs_removed
    ADD CONSTRAINT runs_removed_pkey PRIMARY KEY (ns_id);

ALTER TABLE ONLY public.schedule
    ADD CONSTRAINT schedule_pkey PRIMARY KEY (test_id);

ALTER TABLE ONLY public.session_code
    ADD CONSTRAINT session_code_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY public.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (kid);

ALTER TABLE ONLY public.standing
    ADD CONSTRAINT standing_pkey PRIMARY KEY (run_id, case_id);

ALTER TABLE ONLY public.sweep
    ADD CONSTRAINT sweep_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.test
    ADD CONSTRAINT test_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.test_version
    ADD CONSTRAINT test_version_pkey PRIMARY KEY (test_id, version);

ALTER TABLE ONLY public.token
    ADD CONSTRAINT token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.untold
    ADD CONSTRAINT untold_pkey PRIMARY KEY (finished_at, run_id);

ALTER TABLE ONLY public.usage_folded
    ADD CONSTRAINT usage_folded_pkey PRIMARY KEY (the_only_row);

ALTER TABLE ONLY public.usage
    ADD CONSTRAINT usage_pkey PRIMARY KEY (ns_id, day);

CREATE INDEX artifact_blob_idx ON ONLY public.artifact USING btree (blob);

CREATE UNIQUE INDEX blob_content_key ON public.blob USING btree (ns_id, sha256) WHERE (stored_at IS NOT NULL);

CREATE INDEX blob_hidden_idx ON public.blob USING btree (hidden_on) WHERE (hidden_on IS NOT NULL);

CREATE INDEX blob_unstored_idx ON public.blob USING btree (used_on) WHERE (stored_at IS NULL);

CREATE INDEX case_key_test_idx ON public.case_key USING btree (test_id);

CREATE INDEX case_state_case_idx ON public.case_state USING btree (case_id);

CREATE INDEX cell_namespace_idx ON public.cell USING btree (ns_id, test_id);

CREATE INDEX config_used_idx ON public.config USING btree (used_on);

CREATE UNIQUE INDEX delayed_run_key ON public.delayed USING btree (run_id);

CREATE INDEX gated_due_idx ON public.gated USING btree (due) WHERE (due IS NOT NULL);

CREATE INDEX gated_expiry_idx ON public.gated USING btree (expires_at) WHERE parked;

CREATE INDEX gated_group_idx ON public.gated USING btree (group_key, seq) WHERE (group_key IS NOT NULL);

CREATE INDEX gated_matrix_idx ON public.gated USING btree (matrix_id, seq) WHERE ((max_parallel IS NOT NULL) AND (matrix_slot IS NULL));

CREATE INDEX gated_parked_idx ON public.gated USING btree (ns_id) WHERE parked;

CREATE INDEX idempotency_created_idx ON public.idempotency USING btree (created_at);

CREATE INDEX keep_ns_idx ON public.keep USING btree (ns_id, run_id);

CREATE INDEX lease_ns_idx ON public.lease USING btree (ns_id);

CREATE INDEX lease_runner_idx ON public.lease USING btree (runner_id);

CREATE INDEX ledger_noted_idx ON public.ledger USING brin (noted_at);

CREATE UNIQUE INDEX log_chunk_start_key ON ONLY public.log_chunk USING btree (run_id, attempt, stream, start);

CREATE INDEX quarantine_skip_idx ON public.quarantine USING btree (until) WHERE (mode = 'skip'::text);

CREATE INDEX report_case_failed_idx ON ONLY public.report_case USING btree (run_id, attempt, report, place) WHERE (status = ANY (ARRAY['fail'::text, 'error'::text]));

CREATE INDEX report_case_history_idx ON ONLY public.report_case USING btree (case_id, cell_id, run_id);

CREATE INDEX run_end_test_idx ON ONLY public.run_end USING btree (test_id, finished_at);

CREATE INDEX run_event_txid_idx ON ONLY public.run_event USING btree (txid);

CREATE INDEX run_ns_idx ON ONLY public.run USING btree (ns_id, id);

CREATE INDEX run_test_idx ON ONLY public.run USING btree (test_id, id);

CREATE INDEX runner_name_idx ON public.runner USING btree (name);

CREATE UNIQUE INDEX saved_view_own_key ON public.saved_view USING btree (ns_id, owner, name) WHERE (owner IS NOT NULL);

CREATE UNIQUE INDEX saved_view_shared_key ON public.saved_view USING btree (ns_id, name) WHERE (owner IS NULL);

CREATE INDEX schedule_next_idx ON public.schedule USING btree (next_at);

CREATE INDEX session_code_token_idx ON public.session_code USING btree (token_id);

CREATE INDEX test_changed_idx ON public.test USING btree (GREATEST(updated_at, deleted_at));

CREATE UNIQUE INDEX test_ns_name_key ON public.test USING btree (ns_id, name) WHERE (deleted_at IS NULL);

CREATE INDEX token_revoked_idx ON public.token USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);

CREATE INDEX undigested_txid_idx ON public.undigested USING btree (txid);

CREATE INDEX usage_day_idx ON public.usage USING btree (day);

CREATE INDEX usage_delta_txid_idx ON public.usage_delta USING btree (txid);

CREATE TRIGGER run_event_append_only BEFORE DELETE OR UPDATE ON public.run_event FOR EACH ROW EXECUTE FUNCTION public.run_event_is_append_only();

ALTER TABLE ONLY public.class
    ADD CONSTRAINT class_namespace_fkey FOREIGN KEY (ns_id) REFERENCES public.namespace(id);

ALTER TABLE ONLY public.gate
    ADD CONSTRAINT gate_namespace_fkey FOREIGN KEY (ns_id) REFERENCES public.namespace(id);

ALTER TABLE ONLY public.paused_schedule
    ADD CONSTRAINT paused_schedule_test_fkey FOREIGN KEY (test_id) REFERENCES public.test(id);

ALTER TABLE ONLY public.saved_view
    ADD CONSTRAINT saved_view_namespace_fkey FOREIGN KEY (ns_id) REFERENCES public.namespace(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_view
    ADD CONSTRAINT saved_view_owner_fkey FOREIGN KEY (owner) REFERENCES public.token(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.schedule
    ADD CONSTRAINT schedule_test_fkey FOREIGN KEY (test_id) REFERENCES public.test(id);

ALTER TABLE ONLY public.session_code
    ADD CONSTRAINT session_code_token_fkey FOREIGN KEY (token_id) REFERENCES public.token(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.test
    ADD CONSTRAINT test_namespace_fkey FOREIGN KEY (ns_id) REFERENCES public.namespace(id);

ALTER TABLE ONLY public.test_version
    ADD CONSTRAINT test_version_test_fkey FOREIGN KEY (test_id) REFERENCES public.test(id) ON DELETE CASCADE;

