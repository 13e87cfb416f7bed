-- rows that the facts really hold, over all kinds of records, and rows in quarantine; what the ledger of files says about duplicates
SELECT (SELECT count(*) FROM exposures) + (SELECT count(*) FROM interactions) + (SELECT count(*) FROM model_calls)
     + (SELECT count(*) FROM dependency_calls) + (SELECT count(*) FROM workflow_runs) + (SELECT count(*) FROM feedback)
     + (SELECT count(*) FROM evaluations) AS stored,
  (SELECT coalesce(sum(duplicates), 0) FROM batches) AS duplicates,
  (SELECT count(*) FROM quarantine) AS quarantined
