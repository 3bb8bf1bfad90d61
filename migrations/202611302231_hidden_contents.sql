-- A content that nobody needs is hidden, and its object removed only when a day has passed: a database that has gone back by
-- less than that still has what it names. An upload that came to no end is hidden as well before it is removed, so that it
-- cannot end any more.
-- Locks: ACCESS EXCLUSIVE on `blob`, while the table is read once for an index that no row is in yet.
--
-- The previous release hides without a day: such a row is taken for an upload that came to no end.
ALTER TABLE blob
    -- The day on which it was hidden; null while somebody may find it, or uploads it.
    ADD COLUMN hidden_on date,
    -- When a replica last began to remove the object; others leave it alone for a while.
    ADD COLUMN tried_at timestamptz,
    ADD CONSTRAINT blob_hidden_check CHECK (stored_at IS NULL OR hidden_on IS NULL);
CREATE INDEX blob_hidden_idx ON blob (hidden_on) WHERE hidden_on IS NOT NULL;
