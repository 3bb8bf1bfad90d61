-- A run carries its test along while it waits and is leased, so that its end need not look into `run`: a prepared statement
-- locks every partition that it names, and opens an index of each, which cost an end the more the more days were kept.
--
-- Leases of runs that the previous release queued, and of runs that were put off or parked, have no test_id; origin_of
-- looks it up.
-- Locks: ACCESS EXCLUSIVE on `lease` for a moment; the column has no default, so nothing is rewritten.
ALTER TABLE lease ADD COLUMN test_id uuid;

-- Of its own plan, so that who does not call it locks nothing.
CREATE FUNCTION origin_of(run uuid) RETURNS TABLE (test_id uuid, config_id bigint, queue_secs int)
    LANGUAGE plpgsql STABLE STRICT ROWS 1
    AS $$
BEGIN
    RETURN QUERY SELECT r.test_id, r.config_id, r.queue_secs FROM run r WHERE r.id = origin_of.run;
END $$;
