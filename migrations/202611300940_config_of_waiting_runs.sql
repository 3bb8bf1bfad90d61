-- A claim finds what a run executes without looking into `run`, whose partitions a prepared statement locks one by one:
-- with the days that are kept the claims become slower, and above all those that come at the same time.
--
-- Rows that the previous release writes, and runs that were put off or parked, have no config_id; config_of looks it up.
-- Locks: ACCESS EXCLUSIVE on `ready` and on `lease` for a moment; the columns have no default, so nothing is rewritten.
ALTER TABLE ready ADD COLUMN config_id bigint;
ALTER TABLE lease ADD COLUMN config_id bigint;

-- Of its own plan, so that who does not call it locks nothing.
CREATE FUNCTION config_of(run uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN (SELECT r.config_id FROM run r WHERE r.id = config_of.run);
END $$;
