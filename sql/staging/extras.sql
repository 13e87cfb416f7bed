-- keys a record type does not know: joined to an interaction's `extra` (whose own keys come first), kept beside the other types
INSERT INTO extras
SELECT s.row_id, CASE WHEN s.kind <> 'interaction' OR s.extra IS NULL OR s.extra = '{}' THEN json_merge_patch(i.text, f.removal)
  ELSE s.extra[:-2] || ',' || CAST(json_merge_patch(i.text, f.removal) AS VARCHAR)[2:] END AS extra
FROM staged AS s JOIN shapes AS h ON h.kind = s.kind AND h.shape = s.shape AND h.has_unknown
JOIN known_fields AS f ON f.kind = s.kind JOIN incoming AS i ON i.row_id = s.row_id ANTI JOIN exceptions AS e ON e.line = s.line;
