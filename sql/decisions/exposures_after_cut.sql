-- exposures to the assistant after the cut and the clients' poll limit (naive UTC): a verified cut has none
SELECT count(*) AS exposures FROM exposures WHERE variant = 'assistant' AND ts > $deadline
