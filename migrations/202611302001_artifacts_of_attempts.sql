-- How many files an attempt left behind, where the lease had recorded any: see 202611302000.
-- Locks: ACCESS EXCLUSIVE on `attempt`, with its partitions, for a moment; the columns have no default, so nothing is rewritten.
ALTER TABLE attempt
    ADD COLUMN artifact_files int,
    ADD COLUMN artifact_bytes bigint;
