-- how many of the judged answers the search found
SELECT count(*) AS subjects FROM rollup_answered
