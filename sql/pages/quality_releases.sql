-- pages: releases of the assistant that answered with an intent, newest first
SELECT release, max(start) AS newest FROM intents WHERE arm = 'assistant' GROUP BY release ORDER BY newest DESC, release
