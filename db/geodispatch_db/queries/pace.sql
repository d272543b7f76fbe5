-- name: insert_bucket
-- Begin a channel's bucket, full.
-- $1 channel, $2 tokens, $3 now
insert into channel_bucket (channel, token_count, filled_at) values ($1, $2, $3) on conflict do nothing;

-- name: take_tokens
-- Take up to so many tokens from a channel's bucket after filling it up; how many were there. Nobody waits for the disk: a
-- level that is forgotten with a server is a second's work.
-- $1 channel, $2 how many, $3 tokens a second, $4 most in the bucket, $5 now
with bucket as (
    select channel, least($4::double precision,
                          token_count + greatest(0, extract(epoch from $5::timestamptz - filled_at)) * $3::double precision) as level
    from channel_bucket where channel = $1
    for no key update
), taken as (
    select channel, level, least(floor(level), $2::double precision) as token_count,
           set_config('synchronous_commit', 'off', true)
    from bucket
)
update channel_bucket b set token_count = taken.level - taken.token_count, filled_at = greatest(b.filled_at, $5)
from taken where b.channel = taken.channel
returning taken.token_count::integer as taken_count;

-- name: give_back_tokens
-- Put back tokens that were not needed.
-- $1 channel, $2 how many
update channel_bucket set token_count = token_count + $2::double precision where channel = $1;

-- name: hold_quotas
-- Hold agencies' counts, so that one sender at a time adds to them.
-- $1 agency ids, in order
select pg_advisory_xact_lock(line_of_quota(id)) from unnest($1::bigint[]) as asking (id);

-- name: asked_by_hour
-- How many owners agencies have asked, hour by hour.
-- $1 agency ids, $2 since
select agency_id, hour, asked_count from agency_hour where agency_id = any ($1::bigint[]) and hour > $2 order by hour;

-- name: count_asked
-- Count owners asked by agencies in this hour.
-- $1 agency ids, $2 counts: one array a column; $3 the hour
insert into agency_hour (agency_id, hour, asked_count)
select agency_id, $3::timestamptz, asked_count from unnest($1::bigint[], $2::integer[]) as new (agency_id, asked_count)
on conflict (agency_id, hour) do update set asked_count = agency_hour.asked_count + excluded.asked_count;

-- name: uncount_asked
-- Of owners counted as asked by agencies in an hour, some were not.
-- $1 agency ids, $2 counts: one array a column; $3 the hour
with less as (
    select * from unnest($1::bigint[], $2::integer[]) as less (agency_id, asked_count)
), none as (
    delete from agency_hour h using less
    where h.agency_id = less.agency_id and h.hour = $3 and h.asked_count <= less.asked_count
)
update agency_hour h set asked_count = h.asked_count - less.asked_count from less
where h.agency_id = less.agency_id and h.hour = $3 and h.asked_count > less.asked_count;

-- name: set_quota
-- Limit how many owners an agency may ask in a day, or lift the limit.
-- $1 slug, $2 owners a day or null
update agency set day_quota = $2 where slug = $1 returning id;
