-- How many bytes were uploaded for an attempt, whether its files have them or not: null where none were.
-- Locks: ACCESS EXCLUSIVE on `lease` for a moment; the column has no default, so nothing is rewritten.
ALTER TABLE lease ADD COLUMN uploaded_bytes bigint;
