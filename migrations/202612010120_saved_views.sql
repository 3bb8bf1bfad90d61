-- Saved views of the web UI: names for addresses, shared in a namespace or of a token. A token that is gone takes its own along.
-- Locks: none that anybody waits for; the foreign keys take short locks of `namespace` and `token`.

CREATE TABLE saved_view (
    ns_id    int NOT NULL,
    owner    uuid,                    -- absent: shared
    name     text NOT NULL,
    page     text NOT NULL,
    query    text NOT NULL,
    saved_by text NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT saved_view_namespace_fkey FOREIGN KEY (ns_id) REFERENCES namespace (id) ON DELETE CASCADE,
    CONSTRAINT saved_view_owner_fkey FOREIGN KEY (owner) REFERENCES token (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX saved_view_own_key ON saved_view (ns_id, owner, name) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX saved_view_shared_key ON saved_view (ns_id, name) WHERE owner IS NULL;
