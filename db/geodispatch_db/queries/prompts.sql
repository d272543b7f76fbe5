-- name: lock_due_prompts
-- Lock what is due, queued or with a lapsed lease, together with its owners: while this transaction lasts no other sender
-- can ask the same person.
-- $1 now, $2 how many
select p.request_id, p.owner_id
from prompt p join owner o on o.id = p.owner_id
where p.state in ('queued', 'sending') and p.due_at <= $1
order by p.due_at
limit $2
for no key update of p, o skip locked;

-- name: due_prompts
-- What decides over the locked prompts. A statement of its own, because it must see what others committed up to the lock.
-- $1 request ids, $2 owner ids: one array a column; $3 now
select p.request_id, p.owner_id, p.key, p.attempt_count, o.external_id as owner_external_id, r.state = 'open' and r.expires_at > $3 as is_open,
       w.url as webhook_url, w.secret as webhook_secret,
       (select max(q.asked_at) from prompt q
        where q.owner_id = p.owner_id and q.request_id <> p.request_id and q.asked_at is not null) as owner_asked_at
from unnest($1::bigint[], $2::bigint[]) as due (request_id, owner_id)
join prompt p using (request_id, owner_id)
join request r on r.id = p.request_id
join owner o on o.id = p.owner_id
left join webhook w on w.id = o.webhook_id
order by p.due_at, p.request_id, p.owner_id;

-- name: mark_sending
-- Claim: from now on the lease runs, and the owner counts as asked, as of the latest claim.
-- $1 request ids, $2 owner ids, $3 now, $4 end of the lease
update prompt p set state = 'sending', asked_at = $3, due_at = $4, attempt_count = attempt_count + 1
from unnest($1::bigint[], $2::bigint[]) as due (request_id, owner_id)
where p.request_id = due.request_id and p.owner_id = due.owner_id and p.state in ('queued', 'sending');

-- name: suppress
-- Give up prompts, each for its reason.
-- $1 request ids, $2 owner ids, $3 reasons
update prompt p set state = 'suppressed', suppressed_for = due.reason, due_at = null
from unnest($1::bigint[], $2::bigint[], $3::suppression[]) as due (request_id, owner_id, reason)
where p.request_id = due.request_id and p.owner_id = due.owner_id and p.state in ('queued', 'sending');

-- name: delay
-- Put locked prompts back in line, each at its time.
-- $1 request ids, $2 owner ids, $3 when due: one array a column
update prompt p set due_at = held.due_at
from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as held (request_id, owner_id, due_at)
where p.request_id = held.request_id and p.owner_id = held.owner_id and p.state in ('queued', 'sending');

-- name: mark_delivered
-- Only while the lease is still ours: attempt_count counts claims, so a later claim has another number.
-- $1 request ids, $2 owner ids, $3 attempt numbers, $4 now
update prompt p set state = 'delivered', delivered_at = $4, due_at = null
from unnest($1::bigint[], $2::bigint[], $3::smallint[]) as done (request_id, owner_id, number)
where p.request_id = done.request_id and p.owner_id = done.owner_id
  and p.state = 'sending' and p.attempt_count = done.number;

-- name: requeue
-- Put failed claims back until their next try, while the lease is still ours.
-- $1 request ids, $2 owner ids, $3 attempt numbers, $4 when due again
update prompt p set state = 'queued', due_at = done.due_at
from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::timestamptz[]) as done (request_id, owner_id, number, due_at)
where p.request_id = done.request_id and p.owner_id = done.owner_id
  and p.state = 'sending' and p.attempt_count = done.number;

-- name: insert_attempts
-- Write down delivery tries.
-- $1 request ids, $2 owner ids, $3 numbers, $4 channels, $5 durations in seconds, $6 failures or nulls, $7 now
insert into attempt (request_id, owner_id, number, channel, duration_s, failure, settled_at)
select *, $7::timestamptz
from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::channel[], $5::real[], $6::text[])
on conflict do nothing;

-- name: hold_open_requests
-- Which of these requests are open, and keep them so until this transaction ends.
-- $1 request ids, $2 now
select id from request where id = any($1::bigint[]) and state = 'open' and expires_at > $2 order by id for share;

-- name: close_prompts
-- Settle the prompts of closed requests: what was delivered has expired, what was not is never sent.
-- $1 request ids
update prompt set
    state = case when state = 'delivered' then 'expired' else 'suppressed' end::prompt_state,
    suppressed_for = case when state = 'delivered' then null else 'request_closed' end::suppression,
    due_at = null
where request_id = any($1::bigint[]) and state in ('queued', 'delivered');

-- name: prompts_of_owner
-- An owner's inbox, newest first.
-- $1 owner id, $2 how many
select p.key, p.state as prompt_state, coalesce(p.delivered_at, p.asked_at) as delivered_at, w.choice, w.answered_at,
       r.*, a.slug as agency_slug, a.name as agency_name
from prompt p
join request r on r.id = p.request_id
join agency a on a.id = r.agency_id
left join answer w using (request_id, owner_id)
where p.owner_id = $1 and p.asked_at is not null and p.state in ('sending', 'delivered', 'answered', 'expired')
order by p.asked_at desc
limit $2;

-- name: request_of_prompt
-- Which request one of an owner's prompts is about, once it is or may be on its way.
-- $1 owner id, $2 key
select request_id from prompt
where owner_id = $1 and key = $2 and asked_at is not null and state in ('sending', 'delivered', 'answered', 'expired');

-- name: lock_prompt
-- Lock a prompt for its answer. After its request, as everybody locks them: the other way round would deadlock.
-- $1 request id, $2 owner id
select state from prompt where request_id = $1 and owner_id = $2 for no key update;

-- name: answer_of_prompt
-- The answer to a prompt, if there is one.
-- $1 request id, $2 owner id
select choice, answered_at from answer where request_id = $1 and owner_id = $2;

-- name: insert_answer
-- Keep an answer.
-- $1 request id, $2 owner id, $3 choice, $4 now
insert into answer (request_id, owner_id, choice, answered_at) values ($1, $2, $3, $4);

-- name: mark_answered
-- Settle a prompt as answered. An answer to one that is still being sent shows that it has arrived.
-- $1 request id, $2 owner id, $3 now
update prompt set state = 'answered', delivered_at = coalesce(delivered_at, $3), due_at = null
where request_id = $1 and owner_id = $2 and state in ('sending', 'delivered');

-- name: count_prompts
-- How many of a request's prompts stand in each state.
-- $1 request id
select state, count(*) from prompt where request_id = $1 group by state;
