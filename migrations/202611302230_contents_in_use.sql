-- Whether a file has a content is looked up in what is committed at that moment, not when the statement began: a day that is
-- dropped meanwhile takes its files along to a new partition, and a statement that waited for that would see the partition
-- without its rows, and take the contents of pinned runs for unused.
-- Locks: the row of the function alone.
ALTER FUNCTION is_blob_used(uuid, date) VOLATILE;
