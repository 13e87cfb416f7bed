-- conversations of customers who were counted before in their arm and stage
SELECT count(*) AS n FROM unit_exclusions WHERE reason = 'repeat'
