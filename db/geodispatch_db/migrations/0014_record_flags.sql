-- Readers' flags and what came of them are leaves of the record too. Those that were there before come now, in the order in which
-- they happened; the same members and values as geodispatch/record.py writes.
create function record_moment(at timestamptz) returns text language sql
    return regexp_replace(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '\.0{6}$', '') || 'Z';

with fact (at, place, id, content) as (
    select flagged_at, 0, id, jsonb_build_object(
        'kind', 'flag', 'subject', 'flag/' || id,
        'thing', case when post_id is null then 'request/' || request_id else 'post/' || post_id end,
        'reason', reason, 'flagged_at', record_moment(flagged_at))
    from flag
    union all
    select published_at, 1, id, jsonb_build_object(
        'kind', 'flag_outcome', 'subject', 'flag/' || flag_id, 'text', body, 'published_at', record_moment(published_at))
    from flag_outcome
)
select record_append(coalesce(array_agg(content::text order by at, place, id), '{}')) from fact;

drop function record_moment;
