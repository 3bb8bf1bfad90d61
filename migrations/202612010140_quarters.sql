-- Sums of six hours, so that a summary that begins in the middle of a day reads few sums. They are kept beside those of hours and
-- days: where runs were taken in before, from the day after the next on, for until then a process may do it that does not write
-- them.
-- Locks: none that anybody waits for.

CREATE TABLE rollup_since (
    grain smallint NOT NULL,
    since timestamptz NOT NULL,
    CONSTRAINT rollup_since_pkey PRIMARY KEY (grain)
);
INSERT INTO rollup_since (grain, since)
SELECT 2, CASE WHEN EXISTS (SELECT FROM run_end) OR EXISTS (SELECT FROM rollup) THEN date_trunc('day', clock_timestamp(), 'UTC') + interval '2 days'
               ELSE to_timestamp(0) END;
