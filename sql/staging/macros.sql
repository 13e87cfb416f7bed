-- how raw fields are read; `raw` is one field's raw JSON text, NULL where the field is absent or null
CREATE OR REPLACE TEMP MACRO as_number(raw) AS TRY_CAST(CAST(raw AS VARCHAR) AS DOUBLE);
CREATE OR REPLACE TEMP MACRO as_count(num) AS TRY_CAST(num AS BIGINT);
CREATE OR REPLACE TEMP MACRO as_flag(raw) AS
  CASE CAST(raw AS VARCHAR) WHEN 'true' THEN true WHEN 'false' THEN false WHEN '1' THEN true WHEN '0' THEN false END;
-- ISO-8601; a time without an offset is UTC, digits beyond microseconds are cut. Anything else is NULL.
CREATE OR REPLACE TEMP MACRO as_time(stamp) AS CASE
  WHEN regexp_full_match(stamp, '[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,12})?)?( ?Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?')
  THEN TRY_CAST(stamp AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END;
-- 64 bits of an id, the same on every platform and version
CREATE OR REPLACE TEMP MACRO id_number(id) AS md5_number_lower(id);
-- Orders the records of a conversation by time, then turn, then id; a record without time comes first. 2^64 and 2^32 keep the parts apart.
CREATE OR REPLACE TEMP MACRO order_key(ts, turn, id_hash) AS
  CAST(coalesce(epoch_us(ts), 0) AS HUGEINT) * 18446744073709551616 + CAST(turn AS HUGEINT) * 4294967296 + CAST(id_hash >> 32 AS HUGEINT);
