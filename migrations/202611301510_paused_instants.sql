-- Instants that pass while a test is paused get their lines in the ledger when it goes on: skipped, for the reason `paused`.
-- Locks: `ledger` for a moment (ACCESS EXCLUSIVE; it is read once to check it, nothing is rewritten), and `test`, which is
-- read once, against changes of its columns.
--
-- The previous release runs on this schema, but cannot list a ledger that has such lines: they come when a test is resumed
-- by this one. What it pauses has no row here and gets no lines; what it resumes leaves its row behind, which the next pause
-- by this release replaces.

-- A row for every test with a schedule that is paused and not deleted.
CREATE TABLE paused_schedule (
    test_id uuid NOT NULL,
    -- The ledger has nothing of the instants from here on.
    since   timestamptz NOT NULL,
    CONSTRAINT paused_schedule_pkey PRIMARY KEY (test_id),
    CONSTRAINT paused_schedule_test_fkey FOREIGN KEY (test_id) REFERENCES test (id)
);

-- Nobody wrote down since when these are paused.
INSERT INTO paused_schedule (test_id, since)
SELECT id, now() FROM test
WHERE deleted_at IS NULL AND doc->>'paused' = 'true' AND doc->>'cron_schedule' IS NOT NULL;

ALTER TABLE ledger
    DROP CONSTRAINT ledger_reason_check,
    ADD CONSTRAINT ledger_reason_check CHECK (
        (outcome = 'ran') = (reason IS NULL)
        AND (reason IS NULL
             OR reason IN ('concurrency', 'quota', 'storage_full', 'paused', 'unreadable', 'deadline', 'catch_up')));
