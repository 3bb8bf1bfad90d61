-- Codes that sign somebody in once, as the token that asked for them: links of `tstr up` and `tstr ctl sign-in`. Only a hash
-- is kept. Using one deletes its row, so that of several replicas one succeeds.
-- Locks: none that anybody waits for; the foreign key takes a short lock of `token`.

CREATE TABLE session_code (
    hash       bytea NOT NULL,
    token_id   uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT session_code_pkey PRIMARY KEY (hash),
    CONSTRAINT session_code_token_fkey FOREIGN KEY (token_id) REFERENCES token (id) ON DELETE CASCADE,
    CONSTRAINT session_code_hash_check CHECK (octet_length(hash) = 32)
);
CREATE INDEX session_code_token_idx ON session_code (token_id);
