-- The rows of a run are checked where they are tested (tests/src/checks.sql): PostgreSQL reads the text of every check
-- constraint of a table anew for each statement that writes there. docs/adr/0014-checks-of-hot-tables-belong-to-the-tests.md.
-- A migration for each table: together they would wait for each other's users, and hold up claims meanwhile.
-- Locks: ACCESS EXCLUSIVE on the table, with its partitions, for a moment; nothing is read or rewritten.
ALTER TABLE run_end
    DROP CONSTRAINT run_end_result_check,
    DROP CONSTRAINT run_end_pass_check,
    DROP CONSTRAINT run_end_flaky_check,
    DROP CONSTRAINT run_end_log_check,
    DROP CONSTRAINT run_end_order_check;
