-- puts the masked content back
UPDATE staged SET question = m.question, answer = m.answer, comment = m.comment, escalation_reason = m.escalation_reason,
  sources = m.sources, extra = m.extra, slots = m.slots
FROM masked AS m WHERE staged.row_id = m.row_id;
