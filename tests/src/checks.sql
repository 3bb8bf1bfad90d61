-- What every row of a run must be like, held by PostgreSQL in every database of the tests. The product's own tables have
-- no such checks: docs/adr/0014-checks-of-hot-tables-belong-to-the-tests.md.
ALTER TABLE lease
    ADD CONSTRAINT lease_deadline_check CHECK ((started_at IS NULL) = (hard_deadline IS NULL)),
    ADD CONSTRAINT lease_order_check CHECK (started_at >= leased_at),
    -- A cancel of a lease that was not started ends it at once instead.
    ADD CONSTRAINT lease_cancel_check CHECK (cancel_requested_at IS NULL OR started_at IS NOT NULL);
ALTER TABLE gated
    ADD CONSTRAINT gated_gate_check CHECK (group_key IS NOT NULL OR max_parallel IS NOT NULL),
    ADD CONSTRAINT gated_policy_check CHECK (
        (group_key IS NULL) = (policy IS NULL) AND policy IN ('forbid', 'queue', 'replace')
        AND (policy IS NULL OR depth IS NOT NULL AND overflow IS NOT NULL) AND overflow IN ('oldest', 'newest')),
    ADD CONSTRAINT gated_slots_check CHECK (
        (group_slot IS NULL OR group_slot > 0 AND group_key IS NOT NULL AND due IS NULL)
        AND (matrix_slot IS NULL OR matrix_slot > 0 AND max_parallel IS NOT NULL AND due IS NULL)),
    -- Slots are taken in this order, so that two runs never wait for each other.
    ADD CONSTRAINT gated_order_check CHECK (matrix_slot IS NULL OR group_key IS NULL OR group_slot IS NOT NULL);
ALTER TABLE run
    ADD CONSTRAINT run_priority_check CHECK (priority BETWEEN 0 AND 3),
    ADD CONSTRAINT run_trigger_check CHECK (trigger IN ('schedule', 'manual', 'retry', 'upload'));
ALTER TABLE run_event
    ADD CONSTRAINT run_event_result_check CHECK ((state_to = 'finished') = (result IS NOT NULL));
ALTER TABLE run_end
    ADD CONSTRAINT run_end_result_check CHECK (result IN ('pass', 'fail', 'error', 'timed_out', 'cancelled')),
    ADD CONSTRAINT run_end_pass_check CHECK (result NOT IN ('pass', 'fail') OR started_at IS NOT NULL),
    ADD CONSTRAINT run_end_flaky_check CHECK (NOT flaky OR result = 'pass'),
    ADD CONSTRAINT run_end_log_check CHECK (log_status IN ('complete', 'truncated', 'incomplete')),
    ADD CONSTRAINT run_end_order_check CHECK (leased_at <= started_at AND started_at <= finished_at);
ALTER TABLE attempt
    ADD CONSTRAINT attempt_number_check CHECK (attempt > 0);
ALTER TABLE log_chunk
    ADD CONSTRAINT log_chunk_stream_check CHECK (stream IN (1, 2)),
    ADD CONSTRAINT log_chunk_body_check CHECK (octet_length(body) BETWEEN 1 AND 262144),
    ADD CONSTRAINT log_chunk_cut_check CHECK (
        (cut_at IS NULL) = (cut_bytes IS NULL) AND cut_at >= 0 AND cut_bytes > 0 AND cut_at + cut_bytes <= start),
    -- So that sums of places and lengths fit a bigint.
    ADD CONSTRAINT log_chunk_start_check CHECK (start >= 0 AND start <= 1152921504606846976);
