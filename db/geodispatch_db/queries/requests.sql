-- name: hold_law
-- Let no ordinance and no end of the programme come between what judges a request and its opening: until this transaction
-- ends, `hold_requests` waits. Insert takes this lock anyway, but only then.
lock table request in row exclusive mode;

-- name: hold_requests
-- Let nobody open, claim for, answer or close any request until this transaction ends; reading goes on. A lock of the rows
-- would not do: those who share them may come one after the other for ever, while whoever waits for a table is next.
lock table request in exclusive mode;

-- name: insert_request
-- Keep a request that was submitted, in review.
-- $1 agency, $2 member, $3 idempotency key, $4 SHA-256 of the submission, $5 case number, $6 offence, $7 body,
-- $8 contact name, $9 contact email, $10 window start, $11 window end, $12 fence, $13 area_m2, $14 version of the rules that
-- admitted it, $15 why it is exigent, or null
insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body, contact_name,
                     contact_email, window_start, window_end, fence, area_m2, rule_version, exigent_reason, state)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'review')
returning id;

-- name: request_by_idempotency_key
-- The request that an agency made under a key, and what it hashed to.
-- $1 agency, $2 idempotency key
select id, body_sha256 from request where agency_id = $1 and idempotency_key = $2;

-- name: request_by_id
-- One request, with its agency, and how it fares with the reviewers.
-- $1 id
select r.*, leaf_of(r) as leaf_index, a.slug as agency_slug, a.name as agency_name,
       v.begun_at is not null and v.ended_at is null as is_with_reviewers,
       refusal.reason as refused_for, refusal.given_at as refused_at
from request r join agency a on a.id = r.agency_id
left join review v on v.request_id = r.id
left join verdict refusal on refusal.request_id = r.id and refusal.kind = 'refuse'
where r.id = $1;

-- name: requests_by_ids
-- These requests, with their agencies.
-- $1 ids
select r.*, leaf_of(r) as leaf_index, a.slug as agency_slug, a.name as agency_name
from request r join agency a on a.id = r.agency_id
where r.id = any($1::bigint[]);

-- name: leaf_indexes
-- Where these requests' publications stand in the record.
-- $1 ids
select r.id, leaf_of(r) as leaf_index from request r where r.id = any($1::bigint[]);

-- name: public_requests
-- The newest requests that were ever opened.
-- $1 only those before this id, or null; $2 how many
select r.*, leaf_of(r) as leaf_index, a.slug as agency_slug, a.name as agency_name
from request r join agency a on a.id = r.agency_id
where r.opened_at is not null and ($1::bigint is null or r.id < $1)
order by r.id desc
limit $2;

-- name: requests_of_agency
-- An agency's requests, public or not, newest first, with the same, and with who submitted and who approved each.
-- $1 agency, $2 only in this state, or null; $3 only those before this id, or null; $4 how many
select r.*, leaf_of(r) as leaf_index, a.slug as agency_slug, a.name as agency_name,
       v.begun_at is not null and v.ended_at is null as is_with_reviewers,
       refusal.reason as refused_for, refusal.given_at as refused_at, m.name as member_name,
       (select s.name from approval w join member s on s.id = w.member_id where w.request_id = r.id) as approver_name
from request r join agency a on a.id = r.agency_id join member m on m.id = r.member_id
left join review v on v.request_id = r.id
left join verdict refusal on refusal.request_id = r.id and refusal.kind = 'refuse'
where r.agency_id = $1 and ($2::request_state is null or r.state = $2) and ($3::bigint is null or r.id < $3)
order by r.id desc
limit $4;

-- name: open_request
-- Open a request that was in review; no row where it is not.
-- $1 id, $2 opened at, $3 expires at, $4 version of the rules that admitted it, $5 when an ordinance ends it, or null, $6 when
-- it lapses without a justification, or null
update request set state = 'open', opened_at = $2, expires_at = $3, rule_version = $4, stops_at = $5, lapses_at = $6
where id = $1 and state = 'review'
returning id;

-- name: insert_approval
-- Note who of a second rank approved a request.
-- $1 request, $2 agency, $3 member, $4 now
insert into approval (request_id, agency_id, member_id, approved_at) values ($1, $2, $3, $4);

-- name: lock_request
-- Hold an agency's request; no row where it has none of this id.
-- $1 id, $2 agency
select state, opened_at, exigent_reason, justified_at from request where id = $1 and agency_id = $2 for update;

-- name: justify_request
-- Add why an exigent request could not wait: it lapses no more.
-- $1 id, $2 member, $3 justification, $4 now
update request set justification = $3, justified_by = $2, justified_at = $4, lapses_at = null where id = $1;

-- name: withdraw_review
-- Take a request back before it becomes public; no row where the agency has none of this id in review.
-- $1 id, $2 agency
update request set state = 'draft' where id = $1 and agency_id = $2 and state = 'review' returning id;

-- name: hold_request
-- Wait until nobody shares a request, as whoever claims for it or answers does; who comes later waits behind.
-- $1 id
select pg_advisory_xact_lock(line_of_request($1));

-- name: close_request
-- End an open request; no row where the agency has none of this id that is open.
-- $1 id, $2 agency, $3 now, $4 reason
update request set state = 'closed', closed_at = $3, close_reason = $4
where id = $1 and agency_id = $2 and state = 'open'
returning id;

-- name: close_expired_requests
-- End all open requests whose time is over: by themselves, by an ordinance, or for want of a justification.
-- $1 now
update request set state = 'closed', closed_at = $1,
    close_reason = case when lapses_at <= least(expires_at, stops_at) then 'withdrawn'
                        when stops_at <= expires_at then 'ordinance' else 'expired' end::close_reason
where state = 'open' and least(expires_at, stops_at, lapses_at) <= $1 -- as is_live has it
returning id, close_reason;

-- name: close_all_requests
-- End all open requests.
-- $1 now, $2 reason
update request set state = 'closed', closed_at = $1, close_reason = $2 where state = 'open' returning id;

-- name: open_fences
-- The fences of open requests, but for some.
-- $1 ids of requests to leave out
select id, fence from request where state = 'open' and id <> all ($1::bigint[]);

-- name: set_stops
-- Say when ordinances end open requests.
-- $1 request ids, $2 instants, or nulls: one array a column
update request r set stops_at = due.stops_at
from unnest($1::bigint[], $2::timestamptz[]) as due (id, stops_at)
where r.id = due.id and r.state = 'open' and r.stops_at is distinct from due.stops_at;

-- name: insert_closing
-- Leave the prompts of closed requests to be settled in batches.
-- $1 request ids, $2 now
insert into closing (request_id, closed_at) select id, $2::timestamptz from unnest($1::bigint[]) as closed (id);

-- name: lock_closing
-- Take one closed request whose prompts are not all settled.
-- $1 this one, or null for any
select request_id, done_count from closing
where not is_settled and ($1::bigint is null or request_id = $1)
order by request_id limit 1
for update skip locked;

-- name: lock_prunable
-- Take one closed request whose prompts have been kept for long enough.
-- $1 closed before, $2 whether those that nobody answered are gone already
select request_id, done_count from closing
where is_settled and is_pruned = $2 and closed_at < $1
order by closed_at, request_id limit 1
for update skip locked;

-- name: advance_closing
-- Note that more prompts of a closed request have been worked off.
-- $1 request id, $2 how many
update closing set done_count = done_count + $2 where request_id = $1;

-- name: finish_settling
-- All prompts of a closed request are settled; pruning will count from none again.
-- $1 request id
update closing set is_settled = true, done_count = 0 where request_id = $1;

-- name: finish_pruning
-- The unanswered prompts of a closed request are gone; forgetting the others will count from none again.
-- $1 request id
update closing set is_pruned = true, done_count = 0 where request_id = $1;

-- name: delete_closing
-- A closed request is done with.
-- $1 request id
delete from closing where request_id = $1;

-- name: insert_fan_out
-- Leave the cameras of a request to be worked off in parts.
-- $1 request id, $2 camera ids, 8 bytes each, little end first
insert into fan_out (request_id, camera_ids) values ($1, $2);

-- name: lock_fan_out
-- Take one request that is still to be fanned out, and its next part.
-- $1 how many cameras
select f.request_id, f.done_count, length(f.camera_ids) / 8 as camera_count,
       substring(f.camera_ids from f.done_count * 8 + 1 for $1::integer * 8) as part,
       r.agency_id, r.offence, r.opened_at
from fan_out f join request r on r.id = f.request_id
order by f.request_id limit 1
for update of f skip locked;

-- name: advance_fan_out
-- Note how far a fan-out has come.
-- $1 request id, $2 cameras done
update fan_out set done_count = $2 where request_id = $1;

-- name: delete_fan_out
-- A fan-out is done with.
-- $1 request id
delete from fan_out where request_id = $1;

-- name: corrections_of_requests
-- What was corrected in these requests, oldest first.
-- $1 request ids
select request_id, body, published_at from request_correction where request_id = any($1::bigint[]) order by id;

-- name: insert_request_correction
-- Append a correction to a public request of the agency; no row where it has none of this id. Those of one request follow each
-- other, so that their ids stand in the order of their leaves.
-- $1 request, $2 agency, $3 member, $4 body, $5 now
insert into request_correction (request_id, member_id, body, published_at)
select id, $3, $4, $5 from request where id = $1 and agency_id = $2 and opened_at is not null for no key update
returning id;
