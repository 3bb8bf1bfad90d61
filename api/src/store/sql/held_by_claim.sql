-- The leases that an earlier try of the same claim was given. For OFFSET 0 see claim.sql.
SELECT h.run_id AS "run_id!: RunId", h.attempt AS "attempt!", h.lease_id AS "lease_id!: LeaseId",
       extract(epoch FROM h.expires_at - clock_timestamp())::float8 AS "ttl_secs!",
       n.name AS "namespace!", k.labels AS "labels!: Json<Labels>", c.body AS "body!: Json<ConfigBody>"
FROM lease h
CROSS JOIN LATERAL (SELECT ns_id, class_id, config_id FROM run WHERE id = h.run_id OFFSET 0) r
CROSS JOIN LATERAL (SELECT name FROM namespace WHERE id = r.ns_id OFFSET 0) n
CROSS JOIN LATERAL (SELECT labels FROM class WHERE id = r.class_id OFFSET 0) k
CROSS JOIN LATERAL (SELECT body FROM config WHERE id = r.config_id OFFSET 0) c
WHERE h.runner_id = $1 AND h.claim_id = $2 AND h.expires_at > clock_timestamp()
