-- What tests were before: a row for each version of a test that is kept, at most 100 of each (docs/writing-tests.md).
-- Locks: `test` for a moment (SHARE ROW EXCLUSIVE), for the foreign key. Tests that are there get a row for what they are;
-- who made them so is not known.
--
-- The previous release runs on this schema: it keeps no versions, so those that it makes are missing.

CREATE TABLE test_version (
    test_id    uuid NOT NULL,
    version    int NOT NULL,
    -- As text, like that of the test: jsonb would sort the axes of the matrix.
    doc        json NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text,
    CONSTRAINT test_version_pkey PRIMARY KEY (test_id, version),
    CONSTRAINT test_version_test_fkey FOREIGN KEY (test_id) REFERENCES test (id) ON DELETE CASCADE
);

INSERT INTO test_version (test_id, version, doc, changed_at)
SELECT id, version, doc, updated_at FROM test WHERE deleted_at IS NULL;
