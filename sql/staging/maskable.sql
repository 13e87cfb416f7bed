-- rows with content that masking could change; $pattern matches a superset of what it changes
SELECT row_id, question, answer, comment, escalation_reason, sources, extra, slots FROM staged
WHERE regexp_matches(concat_ws(chr(10), question, answer, comment, escalation_reason, sources, extra, slots), $pattern);
