-- The leases that an earlier try of the same claim was given.
SELECT h.run_id AS "run_id!: RunId", h.attempt AS "attempt!", h.lease_id AS "lease_id!: LeaseId",
       extract(epoch FROM h.expires_at - clock_timestamp())::float8 AS "ttl_secs!", h.lane AS "lane!",
       n.name AS "namespace!", k.labels AS "labels!: Json<Labels>", c.body AS "body!: Json<ConfigBody>"
FROM lease h
JOIN run r ON r.id = h.run_id
JOIN namespace n ON n.id = r.ns_id
JOIN class k ON k.id = r.class_id
JOIN config c ON c.id = r.config_id
WHERE h.runner_id = $1 AND h.claim_id = $2 AND h.expires_at > clock_timestamp()
