-- exposures of the slice: batch
INSERT INTO exposures BY NAME
SELECT exposure_id, ts, conversation_id, user_id, flag_key, variant, reason, flag_version, rollout_id, release, phase, share, eligible, ineligible_reason,
  segment, region, channel, intent_first, id_hash, raw_hash, $batch AS batch_id, line
FROM settled WHERE kind = 'exposure';
