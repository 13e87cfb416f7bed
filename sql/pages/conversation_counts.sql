-- pages: how often what went wrong since $since (naive UTC), of the arm $arm or ('') of both: units n and those concerned x per metric
SELECT metric, CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x
FROM rollup
WHERE start >= $since AND ($arm = '' OR arm = $arm)
  AND metric IN ('traffic_volume', 'escalation_rate', 'contact_rate', 'resolution_rate', 'timeout_rate', 'request_error_rate',
                 'hallucination_rate', 'misrouting_rate', 'misclassification_rate', 'csat_response_rate')
GROUP BY metric ORDER BY metric
