-- name: read_breakers
-- Endpoints that failed lately.
-- $1 channels, $2 endpoints: one array a column
select b.channel, b.endpoint, b.failure_count, b.opened_at, b.open_until, b.last_failure
from unnest($1::channel[], $2::text[]) as asked (channel, endpoint) join breaker b using (channel, endpoint);

-- name: take_probes
-- Take the one try that an endpoint gets after its time: a row for each that nobody else has taken.
-- $1 channels, $2 endpoints: one array a column; $3 now, $4 when another try may be taken if nothing is heard of this one
with ready as (
    select b.channel, b.endpoint from breaker b
    join unnest($1::channel[], $2::text[]) as asked (channel, endpoint) using (channel, endpoint)
    where b.open_until <= $3
    order by b.channel, b.endpoint for no key update of b)
update breaker b set open_until = $4 from ready
where b.channel = ready.channel and b.endpoint = ready.endpoint
returning b.channel, b.endpoint;

-- name: lock_breakers
-- Lock endpoints that failed lately, to change them by what was tried.
-- $1 channels, $2 endpoints: one array a column
select b.channel, b.endpoint, b.failure_count, b.opened_at, b.open_until, b.last_failure from breaker b
join unnest($1::channel[], $2::text[]) as asked (channel, endpoint) using (channel, endpoint)
order by b.channel, b.endpoint for no key update of b;

-- name: upsert_breakers
-- Write how endpoints are now. One that another sender wrote about since counts both failures.
-- $1 channels, $2 endpoints, $3 failures in a row, $4 opened at, $5 open until, $6 last failures: one array a column; $7 now
insert into breaker as b (channel, endpoint, failure_count, opened_at, open_until, last_failure, failed_at)
select *, $7::timestamptz from unnest($1::channel[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::text[])
    as new (channel, endpoint, failure_count, opened_at, open_until, last_failure)
order by 1, 2
on conflict (channel, endpoint) do update set failure_count = excluded.failure_count, opened_at = excluded.opened_at,
    open_until = excluded.open_until, last_failure = excluded.last_failure, failed_at = excluded.failed_at;

-- name: delete_breakers
-- These endpoints work.
-- $1 channels, $2 endpoints: one array a column
delete from breaker b using unnest($1::channel[], $2::text[]) as works (channel, endpoint)
where b.channel = works.channel and b.endpoint = works.endpoint;

-- name: count_breakers
-- How many endpoints of each channel are closed although they failed lately, open, or due for their one try.
-- $1 now
select channel, case when open_until is null then 'failing' when open_until > $1 then 'open' else 'half_open' end as state,
       count(*)
from breaker group by 1, 2;
