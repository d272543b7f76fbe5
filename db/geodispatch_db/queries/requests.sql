-- name: insert_request
-- Open a request; no row where the agency has used this idempotency key before.
-- $1 agency, $2 member, $3 idempotency key, $4 SHA-256 of the submission, $5 case number, $6 offence, $7 body,
-- $8 contact name, $9 contact email, $10 window start, $11 window end, $12 fence, $13 area_m2, $14 opened at, $15 expires at
insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body, contact_name,
                     contact_email, window_start, window_end, fence, area_m2, state, opened_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'open', $14, $15)
on conflict (agency_id, idempotency_key) do nothing
returning id;

-- name: request_by_idempotency_key
-- The request that an agency made under a key, and what it hashed to.
-- $1 agency, $2 idempotency key
select id, body_sha256 from request where agency_id = $1 and idempotency_key = $2;

-- name: request_by_id
-- One request, with its agency.
-- $1 id
select r.*, a.slug as agency_slug, a.name as agency_name
from request r join agency a on a.id = r.agency_id
where r.id = $1;

-- name: requests_by_ids
-- These requests, with their agencies.
-- $1 ids
select r.*, a.slug as agency_slug, a.name as agency_name
from request r join agency a on a.id = r.agency_id
where r.id = any($1::bigint[]);

-- name: public_requests
-- The newest requests that were ever opened.
-- $1 only those before this id, or null; $2 how many
select r.*, a.slug as agency_slug, a.name as agency_name
from request r join agency a on a.id = r.agency_id
where r.opened_at is not null and ($1::bigint is null or r.id < $1)
order by r.id desc
limit $2;

-- name: close_request
-- End an open request; no row where the agency has none of this id that is open.
-- $1 id, $2 agency, $3 now, $4 reason
update request set state = 'closed', closed_at = $3, close_reason = $4
where id = $1 and agency_id = $2 and state = 'open'
returning id;

-- name: close_expired_requests
-- End all open requests whose time is over.
-- $1 now
update request set state = 'closed', closed_at = $1, close_reason = 'expired'
where state = 'open' and expires_at <= $1
returning id;
