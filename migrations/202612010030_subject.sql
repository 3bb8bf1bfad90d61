-- Whether image and configuration of a run say all that it tested: runs of the same may contradict each other then. They do,
-- unless the container reached something outside whose version nobody has declared.
-- Locks: none that anybody waits for.

CREATE FUNCTION tells_subject(body json) RETURNS bool
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(body #>> '{run_config,network}', 'none') = 'none'
        OR coalesce(body -> 'annotations' ->> 'tstr.revision', body #>> '{run_config,env,TSTR_REVISION}', '') <> ''
$$;
