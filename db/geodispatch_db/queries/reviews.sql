-- name: insert_review
-- Hand a request to the reviewers.
-- $1 request, $2 now
insert into review (request_id, begun_at) values ($1, $2);

-- name: end_review
-- Nobody need look at a request any more; nothing where nobody need anyway.
-- $1 request, $2 now, $3 outcome, or null where the agency took the request back
update review set ended_at = $2, outcome = $3 where request_id = $1 and ended_at is null;

-- name: insert_verdict
-- Note what a reviewer says.
-- $1 request, $2 the request's agency, $3 account, $4 kind, $5 reason, or null, $6 now
insert into verdict (request_id, agency_id, account_id, kind, reason, given_at) values ($1, $2, $3, $4, $5, $6);

-- name: review_by_request
-- The review of a request, with the request.
-- $1 request
select r.*, leaf_of(r) as leaf_index, a.slug as agency_slug, a.name as agency_name, v.begun_at, v.ended_at,
       v.outcome, v.ended_at is null as is_with_reviewers
from review v join request r on r.id = v.request_id join agency a on a.id = r.agency_id
where v.request_id = $1;

-- name: waiting_reviews
-- The reviews that wait, with their requests, oldest request first.
-- $1 only those after this request, or null; $2 how many
select r.*, leaf_of(r) as leaf_index, a.slug as agency_slug, a.name as agency_name, v.begun_at, v.ended_at,
       v.outcome, v.ended_at is null as is_with_reviewers
from review v join request r on r.id = v.request_id join agency a on a.id = r.agency_id
where v.ended_at is null and ($1::bigint is null or v.request_id > $1)
order by v.request_id
limit $2;

-- name: verdicts_of_requests
-- What was said of these requests, oldest first.
-- $1 requests
select request_id, account_id, kind, reason, given_at from verdict where request_id = any($1::bigint[]) order by id;
