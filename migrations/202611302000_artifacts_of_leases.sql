-- When a lease began to collect the files that its run left behind: from then on its owner has 15 minutes to report. And what
-- it has recorded of them so far: null where nothing was. See 202611302003.
-- A migration for each table: together they would wait for each other's users, and hold up claims meanwhile.
-- Locks: ACCESS EXCLUSIVE on `lease` for a moment; the columns have no default, so nothing is rewritten.
ALTER TABLE lease
    ADD COLUMN collecting_at  timestamptz,
    ADD COLUMN artifact_files int,
    ADD COLUMN artifact_bytes bigint;
