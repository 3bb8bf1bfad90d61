-- When the control test of a namespace failed on a runner, after it has passed again or was not heard of for a day.
-- While it fails it stands in control_failure.
-- Locks: none that anybody waits for.

CREATE TABLE outage (
    ns_id     int NOT NULL,
    runner_id uuid NOT NULL,
    since     timestamptz NOT NULL,
    until     timestamptz NOT NULL,
    CONSTRAINT outage_pkey PRIMARY KEY (ns_id, since, runner_id)
);
