-- Where what was remembered of the cases of a cell lies while its latest runs are told again; empty between transactions.
-- Locks: none that anybody waits for.

CREATE TABLE case_state_before (
    LIKE case_state,
    CONSTRAINT case_state_before_pkey PRIMARY KEY (cell_id, case_id)
);
