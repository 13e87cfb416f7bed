-- experiment: times with a zone become UTC, wherever the machine stands
SET TimeZone = 'UTC'
