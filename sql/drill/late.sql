-- conversations that came behind the close of their block and are counted nowhere
SELECT count(*) AS n FROM unit_exclusions WHERE reason = 'late'
