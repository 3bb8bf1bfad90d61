-- The end of a lease without a seal counts what is stored of its log. Ends with a seal, nearly all of them, do not need
-- that, but their prepared statement locked every partition of `log_chunk` and its indexes for it.
--
-- Locks: none.

-- Of its own plan, so that who does not call it locks nothing. The last piece of each stream says how much there is.
CREATE FUNCTION stored_of(run uuid, nth smallint)
    RETURNS TABLE (stdout bigint, stdout_cut bigint, stderr bigint, stderr_cut bigint, detail jsonb)
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    RETURN QUERY
    SELECT coalesce(sum(last.next - last.cut) FILTER (WHERE s.stream = 1), 0)::bigint,
           coalesce(sum(last.cut) FILTER (WHERE s.stream = 1), 0)::bigint,
           coalesce(sum(last.next - last.cut) FILTER (WHERE s.stream = 2), 0)::bigint,
           coalesce(sum(last.cut) FILTER (WHERE s.stream = 2), 0)::bigint,
           CASE WHEN sum(last.cut) > 0
                THEN jsonb_build_object('cuts', jsonb_agg(last.told ORDER BY s.stream) FILTER (WHERE last.cut > 0))
           END
    FROM (VALUES (1, 'stdout'), (2, 'stderr')) AS s(stream, word)
    CROSS JOIN LATERAL (
        SELECT k.start + coalesce(k.raw_bytes, octet_length(k.body)) AS next, coalesce(k.cut_bytes, 0) AS cut,
               jsonb_build_object('stream', s.word, 'offset', k.cut_at, 'bytes', k.cut_bytes) AS told
        FROM log_chunk k
        WHERE k.run_id = stored_of.run AND k.attempt = nth AND k.stream = s.stream
        ORDER BY k.start DESC
        LIMIT 1
    ) last;
END $$;
