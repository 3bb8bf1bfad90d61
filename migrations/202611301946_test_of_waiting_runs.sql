-- Where the lease has it from: see 202611301945.
-- Locks: ACCESS EXCLUSIVE on `ready` for a moment; the column has no default, so nothing is rewritten.
ALTER TABLE ready ADD COLUMN test_id uuid;
