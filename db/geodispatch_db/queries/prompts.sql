-- name: lock_due_prompts
-- Lock what is due on a channel, queued or with a lapsed lease, together with its owners: while this transaction lasts no
-- other sender can ask the same person. What is read of both is what was locked: PostgreSQL looks again at a row that changed since
-- this statement began. Of requests, which are not locked, it reads what never changes. There is one for each prompt; that the join is
-- an outer one all the same keeps PostgreSQL from believing, of requests that statistics have not heard of, that it soon ends.
-- A locked row keeps its place (ctid), which is the fastest way back to it. The places travel as text that nobody but PostgreSQL
-- reads: making objects of them costs more than finding the rows. All stand in line, and in one row of arrays, since a row for each
-- prompt takes a client twice as long to read. What the caller holds in other transactions is left out by its places, which costs a
-- tenth of finding it locked.
-- $1 channel, $2 now, $3 how many, $4 places that the caller holds
select array_agg(place)::text as places, array_agg(request_id) as request_id, array_agg(owner_id) as owner_id,
       array_agg(camera_id) as camera_id, array_agg(key) as key, array_agg(attempt_count) as attempt_count,
       array_agg(external_id) as owner_external_id, array_agg(is_opted_out) as is_opted_out, array_agg(is_muted) as is_muted,
       array_agg(quiet_start) as quiet_start, array_agg(quiet_end) as quiet_end, array_agg(week_max) as week_max,
       array_agg(kept_us) as kept_us, array_agg(webhook_id) as webhook_id, array_agg(language) as language,
       array_agg(has_own_address) as has_own_address
from (
    select p.ctid as place, p.request_id, p.owner_id, p.camera_id, p.key, p.attempt_count, o.external_id,
           o.opted_out_at is not null as is_opted_out,
           (r.agency_id = any (o.muted_agency_ids) or r.offence = any (o.muted_offences)) is true as is_muted,
           o.quiet_start, o.quiet_end, o.week_max,
           case when cardinality(o.asked_at) > 0 then
               (select string_agg((extract(epoch from kept.at) * 1000000)::bigint::text, ',') from unnest(o.asked_at) as kept (at))
           end as kept_us,
           o.webhook_id, o.language, o.has_push or o.has_mail as has_own_address
    from prompt p join owner o on o.id = p.owner_id left join request r on r.id = p.request_id
    where p.channel = $1 and p.due_at <= $2 and (p.lease_until is null or p.lease_until <= $2)
      and p.ctid not in (select unnest($4::text::tid[]))
    order by p.due_at
    limit $3
    for no key update of p, o skip locked
) as held;

-- name: places_of_due_prompts
-- Where what is due lies, as `lock_due_prompts` finds it, without locking anything.
-- $1 channel, $2 now, $3 how many
select p.ctid::text
from prompt p
where p.channel = $1 and p.due_at <= $2 and (p.lease_until is null or p.lease_until <= $2)
order by p.due_at
limit $3;

-- name: prompts_at
-- What `lock_due_prompts` reads, of prompts that lie at these places, in their order.
-- $1 places
select array_agg(place)::text as places, array_agg(request_id) as request_id, array_agg(owner_id) as owner_id,
       array_agg(camera_id) as camera_id, array_agg(key) as key, array_agg(attempt_count) as attempt_count,
       array_agg(external_id) as owner_external_id, array_agg(is_opted_out) as is_opted_out, array_agg(is_muted) as is_muted,
       array_agg(quiet_start) as quiet_start, array_agg(quiet_end) as quiet_end, array_agg(week_max) as week_max,
       array_agg(kept_us) as kept_us, array_agg(webhook_id) as webhook_id, array_agg(language) as language,
       array_agg(has_own_address) as has_own_address
from (
    select p.ctid as place, p.request_id, p.owner_id, p.camera_id, p.key, p.attempt_count, o.external_id,
           o.opted_out_at is not null as is_opted_out,
           (r.agency_id = any (o.muted_agency_ids) or r.offence = any (o.muted_offences)) is true as is_muted,
           o.quiet_start, o.quiet_end, o.week_max,
           case when cardinality(o.asked_at) > 0 then
               (select string_agg((extract(epoch from kept.at) * 1000000)::bigint::text, ',') from unnest(o.asked_at) as kept (at))
           end as kept_us,
           o.webhook_id, o.language, o.has_push or o.has_mail as has_own_address
    from unnest($1::text[]::tid[]) with ordinality as due (place, position)
    join prompt p on p.ctid = due.place
    join owner o on o.id = p.owner_id
    left join request r on r.id = p.request_id
    order by due.position
) as held;

-- name: around_prompts
-- What decides over locked prompts and does not lie in them: cameras that may be asked about, and what else their owners were asked.
-- A statement of its own, because it must see what others committed up to the lock. Both are looked up in the order of their keys,
-- which takes a third of looking them up one by one.
-- $1 camera ids, $2 owner ids: arrays as text; $3 since when asks count
select camera_ids, camera_owner_ids, zones, asked_owner_ids, asked_request_ids, asked_at
from (
    select array_agg(id) as camera_ids, array_agg(owner_id) as camera_owner_ids, array_agg(zone) as zones
    from camera where id = any ($1::text::bigint[]) and not is_muted
) as cameras
cross join (
    select array_agg(owner_id) as asked_owner_ids, array_agg(request_id) as asked_request_ids, array_agg(asked_at) as asked_at
    from prompt where owner_id = any ($2::text::bigint[]) and asked_at > $3
) as asks;

-- name: other_cameras
-- Which prompts can go by another camera, where their own is gone, muted or another owner's, and the time zone there.
-- $1 positions, $2 request ids, $3 owner ids: one array a column
select due.position, c.zone
from unnest($1::integer[], $2::bigint[], $3::bigint[]) as due (position, request_id, owner_id)
join camera c on c.id = other_camera(due.request_id, due.owner_id);

-- name: mark_sending
-- Claim locked prompts: from now on the lease runs, and this is the ask that counts. Whoever marked them, and where they lie then.
-- $1 places, $2 now, $3 end of the lease
with marked as (
    update prompt set state = 'sending', asked_at = $2, lease_until = $3, attempt_count = attempt_count + 1
    where ctid = any ($1::text::tid[]) and state in ('queued', 'sending')
    returning ctid, owner_id
)
select pg_current_xact_id()::xid::text as transaction, pg_relation_filenode('prompt') as file,
       (select last_value from recalls) as recall_count,
       coalesce(array_agg(owner_id), '{}') as owner_ids, coalesce(array_agg(ctid)::text, '{}') as places
from marked;

-- name: suppress
-- Give up locked prompts, each for its reason.
-- $1 places, $2 reasons: one array a column
update prompt p set state = 'suppressed', suppressed_for = due.reason, due_at = null, lease_until = null
from unnest($1::text::tid[], $2::suppression[]) as due (place, reason)
where p.ctid = due.place and p.state in ('queued', 'sending');

-- name: delay
-- Put locked prompts back in line, each at its time.
-- $1 places, $2 when due: one array a column
update prompt p set state = 'queued', due_at = due.due_at, lease_until = null
from unnest($1::text::tid[], $2::timestamptz[]) as due (place, due_at)
where p.ctid = due.place and p.state in ('queued', 'sending');

-- name: divert
-- Let locked prompts wait for another channel; they keep their place in line.
-- $1 places, $2 channels: one array a column
update prompt p set channel = due.channel
from unnest($1::text::tid[], $2::channel[]) as due (place, channel)
where p.ctid = due.place and p.state in ('queued', 'sending');

-- name: nothing_recalled
-- True if no owner has taken anything back since a claim, and its requests are open.
-- $1 the claim's count of recalls, $2 request ids, $3 now
select (select last_value from recalls) = $1
   and cardinality($2::bigint[]) = (select count(*) from request r where r.id = any ($2::bigint[]) and is_live(r, $3)) as is_so;

-- name: claimed_prompts
-- Which claims still may go out: not taken over, not taken back by their owner, of requests that are open.
-- $1 request ids, $2 owner ids, $3 attempt numbers: one array a column; $4 now
select mine.request_id, mine.owner_id
from unnest($1::bigint[], $2::bigint[], $3::smallint[]) as mine (request_id, owner_id, number)
join prompt p on p.request_id = mine.request_id and p.owner_id = mine.owner_id
where p.state = 'sending' and p.attempt_count = mine.number
  and mine.request_id in (select r.id from request r where r.id = any ($1::bigint[]) and is_live(r, $4));

-- name: put_back
-- Put claims that were not tried back where they stood in line; found as below. A first ask was none.
-- $1 places, $2 the claim's transaction, $3 the table's file then
update prompt set state = 'queued', lease_until = null, attempt_count = attempt_count - 1,
    asked_at = case when attempt_count > 1 then asked_at end
where ctid = any ($1::text::tid[]) and xmin = $2::text::xid and pg_relation_filenode('prompt') = $3 and state = 'sending';

-- name: mark_delivered_there
-- Settle what arrived and lies where its claim has left it: whatever has changed since lies elsewhere, or was put there by another
-- transaction; and if the whole table was written anew, nothing lies where it was.
-- $1 places, $2 the claim's transaction, $3 the table's file then, $4 duration in seconds, $5 now
update prompt set state = 'delivered', delivered_at = $5, due_at = null, lease_until = null, duration_s = $4
where ctid = any ($1::text::tid[]) and xmin = $2::text::xid and pg_relation_filenode('prompt') = $3 and state = 'sending';

-- name: mark_delivered
-- Settle what arrived. Only while the lease is still ours: attempt_count counts claims, so a later claim has another number.
-- $1 request ids, $2 owner ids, $3 attempt numbers, $4 durations in seconds: one array a column, as text, which is written and
-- read in half the time; $5 now
update prompt p set state = 'delivered', delivered_at = $5, due_at = null, lease_until = null, duration_s = done.duration_s
from unnest($1::text::bigint[], $2::text::bigint[], $3::text::smallint[], $4::text::real[])
    as done (request_id, owner_id, number, duration_s)
where p.request_id = done.request_id and p.owner_id = done.owner_id
  and p.state = 'sending' and p.attempt_count = done.number;

-- name: insert_lost_attempts
-- Write down those of some tries that arrived and settled nothing: neither just now, nor before, by a transaction whose end
-- its sender did not hear of.
-- $1 request ids, $2 owner ids, $3 attempt numbers, $4 durations in seconds: one array a column; $5 channel, $6 now
insert into lost_attempt (request_id, owner_id, number, channel, duration_s, settled_at)
select request_id, owner_id, number, $5, duration_s, $6
from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::real[]) as done (request_id, owner_id, number, duration_s)
where not exists (
    select from prompt p where p.request_id = done.request_id and p.owner_id = done.owner_id
                           and p.attempt_count = done.number and p.state = 'delivered')
on conflict do nothing;

-- name: requeue
-- Put failed claims back until their next try, while the lease is still ours, and write down the tries.
-- $1 request ids, $2 owner ids, $3 attempt numbers, $4 durations in seconds, $5 failures, $6 when due again, $7 channels
-- from then on: one array a column; $8 channel, $9 now
with done as materialized (
    select * from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::real[], $5::text[], $6::timestamptz[], $7::channel[])
        as done (request_id, owner_id, number, duration_s, failure, due_at, channel)
), settled as (
    update prompt p set state = 'queued', due_at = done.due_at, channel = done.channel, lease_until = null
    from done
    where p.request_id = done.request_id and p.owner_id = done.owner_id
      and p.state = 'sending' and p.attempt_count = done.number
)
insert into lost_attempt (request_id, owner_id, number, channel, duration_s, failure, settled_at)
select request_id, owner_id, number, $8, duration_s, failure, $9 from done
on conflict do nothing;

-- name: share_requests
-- Stand in line for these requests behind whoever is about to close one.
-- $1 request ids, in order
select pg_advisory_xact_lock_shared(line_of_request(id)) from unnest($1::bigint[]) as asked (id);

-- name: hold_open_requests
-- Which of these requests are open, with what of them decides; and keep them so until this transaction ends.
-- $1 request ids, $2 now
select r.id, r.agency_id, a.day_quota, r.offence
from request r join agency a on a.id = r.agency_id
where r.id = any ($1::bigint[]) and is_live(r, $2) order by r.id for share of r;

-- name: open_requests
-- The same, without keeping them so.
-- $1 request ids, $2 now
select r.id, r.agency_id, a.day_quota, r.offence
from request r join agency a on a.id = r.agency_id
where r.id = any ($1::bigint[]) and is_live(r, $2);

-- name: close_these_prompts
-- Settle some prompts of closed requests: what was delivered has expired, what was not is never sent.
-- $1 request ids, $2 owner ids
update prompt p set
    state = case when p.state = 'delivered' then 'expired' else 'suppressed' end::prompt_state,
    suppressed_for = case when p.state = 'delivered' then null else 'request_closed' end::suppression,
    due_at = null
from unnest($1::bigint[], $2::bigint[]) as done (request_id, owner_id)
where p.request_id = done.request_id and p.owner_id = done.owner_id and p.state in ('queued', 'delivered');

-- name: close_next_prompts
-- The same for any so many more of a closed request: how many were found, and how many settled. They are locked in the order of
-- their owners, as all lock who lock several; one that changed while this waited for it is left alone.
-- $1 request id, $2 how many
with next as materialized (
    select ctid as place, owner_id from prompt where request_id = $1 and state in ('queued', 'delivered') limit $2
), held as materialized (
    select p.ctid as place from next join prompt p on p.ctid = next.place
    order by next.owner_id for no key update of p
), closed as (
    update prompt p set
        state = case when p.state = 'delivered' then 'expired' else 'suppressed' end::prompt_state,
        suppressed_for = case when p.state = 'delivered' then null else 'request_closed' end::suppression,
        due_at = null
    from held where p.ctid = held.place and p.state in ('queued', 'delivered')
    returning p.owner_id
)
select (select count(*) from next) as found_count, (select count(*) from closed) as settled_count;

-- name: prune_next_prompts
-- Forget any so many more prompts of a closed request that stand in some states, with their tries and answers: how many. When
-- their owners were asked is kept for the caps. What hangs on prompts is found by whole keys: by the request alone, of which
-- statistics may not have heard yet, PostgreSQL takes it for one row, and goes through all of it for each.
-- $1 request id, $2 how many, $3 the states, $4 since when asks count
with next as materialized (
    select request_id, owner_id, asked_at from prompt
    where request_id = $1 and state = any ($3::text[]::prompt_state[]) limit $2
), kept as materialized ( -- first of all: whoever locks owners and prompts begins with the owners
    select keep_asks(array_agg(owner_id order by owner_id), array_agg(asked_at order by owner_id), $4)
    from next where asked_at > $4 having count(*) > 0
), pruned as (
    delete from prompt p using next
    where p.request_id = next.request_id and p.owner_id = next.owner_id and (select count(*) from kept) <= 1
    returning p.request_id, p.owner_id
), tries as (
    delete from lost_attempt t using pruned where t.request_id = pruned.request_id and t.owner_id = pruned.owner_id
), letters as (
    delete from dead_letter d using pruned where d.request_id = pruned.request_id and d.owner_id = pruned.owner_id
), answers as (
    delete from answer a using pruned where a.request_id = pruned.request_id and a.owner_id = pruned.owner_id
)
select count(*) from pruned;

-- name: prompts_of_owner
-- An owner's inbox, newest first.
-- $1 owner id, $2 how many
select p.key, p.state as prompt_state, coalesce(p.delivered_at, p.asked_at) as delivered_at,
       w.choice, w.answered_at, w.withdrawn_at, r.*, leaf_of(r) as leaf_index, a.slug as agency_slug,
       a.name as agency_name
from reached_prompt p
join request r on r.id = p.request_id
join agency a on a.id = r.agency_id
left join answer w on w.request_id = p.request_id and w.owner_id = p.owner_id
where p.owner_id = $1
order by p.asked_at desc
limit $2;

-- name: history_of_owner
-- All that was ever settled for an owner, sent or not, newest request first.
-- $1 owner id, $2 only requests before this id, or null; $3 how many
select p.key, p.state as prompt_state, p.suppressed_for, p.channel, p.attempt_count, p.asked_at, p.delivered_at,
       w.choice, w.answered_at, w.withdrawn_at, r.*, leaf_of(r) as leaf_index, a.slug as agency_slug,
       a.name as agency_name
from prompt p
join request r on r.id = p.request_id
join agency a on a.id = r.agency_id
left join answer w on w.request_id = p.request_id and w.owner_id = p.owner_id
where p.owner_id = $1 and p.due_at is null and ($2::bigint is null or p.request_id < $2)
order by p.request_id desc
limit $3;

-- name: request_of_prompt
-- Which request one of an owner's prompts is about, once it is or may be on its way.
-- $1 owner id, $2 key
select request_id from reached_prompt where owner_id = $1 and key = $2;

-- name: take_back
-- Give up what is under way to an owner against the owner's wish, and let its sender find that the claim no longer stands.
-- $1 owner id
with taken as (
    update prompt p set state = 'suppressed', suppressed_for = unwished(p, o, r), due_at = null, lease_until = null
    from owner o cross join request r
    where o.id = $1 and p.owner_id = o.id and r.id = p.request_id and p.state = 'sending' and unwished(p, o, r) is not null
    returning 1
)
select nextval('recalls') from taken limit 1;

-- name: give_up_prompts_of_owner
-- Send an owner who has left nothing more.
-- $1 owner id
with taken as (
    update prompt set state = 'suppressed', suppressed_for = 'opted_out', due_at = null, lease_until = null
    where owner_id = $1 and state in ('queued', 'sending')
    returning 1
)
select nextval('recalls') from taken limit 1;

-- name: withdraw_answers_of_owner
-- Take all answers of an owner back that were not taken back before.
-- $1 owner id, $2 now
update answer a set withdrawn_at = greatest($2, a.answered_at)
from prompt p
where p.owner_id = $1 and p.due_at is null and a.request_id = p.request_id and a.owner_id = p.owner_id
  and a.withdrawn_at is null;

-- name: reroute
-- Let what is in line for an owner, and was not tried yet, take the owner's channel.
-- $1 owner id
update prompt p set channel = channel_of(o)
from owner o
where o.id = $1 and p.owner_id = o.id and p.state = 'queued' and p.attempt_count = 0;

-- name: lock_prompt
-- Lock a prompt for its answer. After its request, as everybody locks them: the other way round would deadlock.
-- $1 request id, $2 owner id
select state from prompt where request_id = $1 and owner_id = $2 for no key update;

-- name: answer_of_prompt
-- The answer to a prompt, if there is one.
-- $1 request id, $2 owner id
select choice, answered_at, withdrawn_at from answer where request_id = $1 and owner_id = $2;

-- name: insert_answer
-- Keep an answer.
-- $1 request id, $2 owner id, $3 choice, $4 now
insert into answer (request_id, owner_id, choice, answered_at) values ($1, $2, $3, $4);

-- name: withdraw_answer
-- Take an answer back; the first time counts.
-- $1 request id, $2 owner id, $3 now
update answer set withdrawn_at = coalesce(withdrawn_at, greatest($3, answered_at))
where request_id = $1 and owner_id = $2
returning choice, answered_at, withdrawn_at;

-- name: mark_answered
-- Settle a prompt as answered. An answer to one that is still being sent shows that it has arrived.
-- $1 request id, $2 owner id, $3 now
update prompt set state = 'answered', delivered_at = coalesce(delivered_at, $3), due_at = null, lease_until = null
where request_id = $1 and owner_id = $2 and state in ('sending', 'delivered');

-- name: count_prompts
-- How many of a request's prompts stand in each state.
-- $1 request id
select state, count(*) from prompt where request_id = $1 group by state;

-- name: measure_queue
-- A channel's queue: how much is due, is not yet due, is being sent; and since when the first in line has been waiting.
-- $1 channel, $2 now
select count(*) filter (where due_at <= $2 and lease_until is null) as due_count,
       count(*) filter (where due_at > $2 and lease_until is null) as waiting_count,
       count(*) filter (where lease_until is not null) as sending_count,
       min(due_at) filter (where due_at <= $2) as oldest_due_at
from prompt where channel = $1 and due_at is not null;
