-- the drawn answers: those whose random number lies below their stratum's probability, given as two lists of one order; newest last
SELECT f.interaction_id, f.conversation_id, f.ts, f.intent_pred, f.rollout_id, f.release, f.stratum, f.u
FROM review_frame AS f
JOIN (SELECT unnest(CAST($strata AS VARCHAR[])) AS stratum, unnest(CAST($probabilities AS DOUBLE[])) AS probability) AS p ON p.stratum = f.stratum
WHERE f.u < p.probability
ORDER BY f.ts, f.interaction_id
