-- Logs whose seal is checked, whose pieces are packed, and which may be cut in the middle.
-- Locks: `log_chunk`, `attempt` and `run_end` for a moment (ACCESS EXCLUSIVE); nothing is rewritten or read through.
--
-- A piece of an earlier release has none of the new columns: its body is its bytes.

ALTER TABLE log_chunk
    -- How many bytes `body` holds, packed as a zstd frame. Without it the body is the bytes themselves.
    ADD COLUMN raw_bytes    int,
    -- How many stored bytes of both streams come before it.
    ADD COLUMN place        bigint,
    -- Behind the cut of its stream: where the cut is, and how many bytes of the stream were taken out there.
    ADD COLUMN cut_at       bigint,
    ADD COLUMN cut_bytes    bigint,
    -- The state of SHA-256 over the stored bytes of its stream; on the last piece of each stream in an append.
    ADD COLUMN sha256_state bytea;

-- NOT VALID: what is there has no cut, and need not be read to know it.
ALTER TABLE log_chunk ADD CONSTRAINT log_chunk_cut_check CHECK (
    (cut_at IS NULL) = (cut_bytes IS NULL) AND cut_at >= 0 AND cut_bytes > 0 AND cut_at + cut_bytes <= start) NOT VALID;

-- So that sums of places and lengths fit a bigint. NOT VALID: nobody could have stored more.
ALTER TABLE log_chunk ADD CONSTRAINT log_chunk_start_check CHECK (start >= 0 AND start <= 1152921504606846976) NOT VALID;

-- What is told of a log beside its counts: {"cuts": [{"stream", "offset", "bytes"}], "message"}.
ALTER TABLE attempt ADD COLUMN log_detail jsonb;
ALTER TABLE run_end ADD COLUMN log_detail jsonb;
