-- How many files the last attempt of a run left behind, where the lease had recorded any: see 202611302000.
-- Locks: ACCESS EXCLUSIVE on `run_end`, with its partitions, for a moment; the columns have no default, so nothing is rewritten.
ALTER TABLE run_end
    ADD COLUMN artifact_files int,
    ADD COLUMN artifact_bytes bigint;
