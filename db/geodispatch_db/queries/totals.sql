-- name: shared_counts
-- How many owners shared footage for requests that closed a day ago or earlier: as it stood one day after the closing, so that
-- nothing can be read from how it changes; or the least of the band that this was in, where the answers need not be there any more.
-- $1 request ids, $2 now
select id, shared_count from shared_counts($1, $2);

-- name: lock_uncounted
-- Take closed requests whose total may be told and is not kept yet.
-- $1 now, $2 how many
select request_id from closing
where not is_counted and closed_at <= $1::timestamptz - interval '24 hours'
order by closed_at, request_id limit $2
for update;

-- name: keep_totals
-- Keep what may be told of requests.
-- $1 request ids, $2 the least of the bands: one array a column
with kept as (
    insert into shared_total (request_id, at_least) select * from unnest($1::bigint[], $2::integer[])
    on conflict (request_id) do nothing)
update closing set is_counted = true where request_id = any ($1);
