-- pages: recorded backtests, newest first: id, when, where the report is, summary (JSON)
SELECT artefact_id, CAST(created_at AS TIMESTAMP) AS created_at, path, summary FROM artefacts WHERE kind = 'backtest' ORDER BY created_at DESC, artefact_id DESC
