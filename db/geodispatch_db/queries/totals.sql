-- name: shared_counts
-- How many owners shared footage for requests that closed a day ago or earlier: as it stood one day after the closing, so that
-- nothing can be read from how it changes.
-- $1 request ids, $2 now
select r.id, (
    select count(*) from answer a
    where a.request_id = r.id and a.choice = 'share'
      and (a.withdrawn_at is null or a.withdrawn_at > r.closed_at + interval '24 hours')) as shared_count
from request r
where r.id = any($1::bigint[]) and r.closed_at <= $2::timestamptz - interval '24 hours';
