-- drift: of a label's rows observed(mature BOOLEAN, value): all, those whose label is final, and those of them that have one
SELECT count(*) AS all_rows, count(*) FILTER (WHERE mature) AS mature, count(value) FILTER (WHERE mature) AS labelled FROM observed
