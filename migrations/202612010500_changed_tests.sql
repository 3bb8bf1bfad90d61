-- Which tests were changed lately is looked for every two seconds while somebody follows events. By this index that costs what was
-- changed, and not what there is.
-- Locks: writes of tests wait while it is made, which takes a moment.

CREATE INDEX test_changed_idx ON test (greatest(updated_at, deleted_at));
