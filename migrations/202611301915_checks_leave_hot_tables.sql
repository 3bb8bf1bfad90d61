-- The rows of a run are checked where they are tested (tests/src/checks.sql): PostgreSQL reads the text of every check
-- constraint of a table anew for each statement that writes there, which cost a claim a seventh of its processor time.
-- docs/adr/0014-checks-of-hot-tables-belong-to-the-tests.md.
-- Locks: ACCESS EXCLUSIVE on each of these tables for a moment; nothing is read or rewritten.
ALTER TABLE lease
    DROP CONSTRAINT lease_deadline_check,
    DROP CONSTRAINT lease_order_check,
    DROP CONSTRAINT lease_cancel_check;
ALTER TABLE gated
    DROP CONSTRAINT gated_gate_check,
    DROP CONSTRAINT gated_policy_check,
    DROP CONSTRAINT gated_slots_check,
    DROP CONSTRAINT gated_order_check;
ALTER TABLE run
    DROP CONSTRAINT run_priority_check,
    DROP CONSTRAINT run_trigger_check;
ALTER TABLE run_event DROP CONSTRAINT run_event_result_check;
ALTER TABLE run_end
    DROP CONSTRAINT run_end_result_check,
    DROP CONSTRAINT run_end_pass_check,
    DROP CONSTRAINT run_end_flaky_check,
    DROP CONSTRAINT run_end_log_check,
    DROP CONSTRAINT run_end_order_check;
ALTER TABLE attempt DROP CONSTRAINT attempt_number_check;
ALTER TABLE log_chunk
    DROP CONSTRAINT log_chunk_stream_check,
    DROP CONSTRAINT log_chunk_body_check,
    DROP CONSTRAINT log_chunk_cut_check,
    DROP CONSTRAINT log_chunk_start_check;
