-- name: insert_dead_letters
-- Note that a channel gave prompts up; one that it gave up before is noted anew.
-- $1 request ids, $2 owner ids, $3 channels, $4 endpoints, $5 failures: one array a column; $6 now
insert into dead_letter (request_id, owner_id, channel, endpoint, failure, died_at)
select request_id, owner_id, channel, endpoint, failure, $6::timestamptz
from unnest($1::bigint[], $2::bigint[], $3::channel[], $4::text[], $5::text[])
    as dead (request_id, owner_id, channel, endpoint, failure)
on conflict (request_id, owner_id, channel) do update set endpoint = excluded.endpoint, failure = excluded.failure,
    died_at = excluded.died_at, due_at = null, delivered_at = null;

-- name: list_dead_letters
-- What lies, oldest first.
-- $1 channel or null, $2 endpoint or null, $3 only those that died after, or null, $4 how many
select d.request_id, p.key as prompt_id, o.external_id as owner, d.channel, d.endpoint, d.failure, d.died_at, d.replay_count,
       d.due_at is not null as is_replaying, p.state = 'delivered' as can_replay
from dead_letter d
join prompt p using (request_id, owner_id)
join owner o on o.id = d.owner_id
where d.delivered_at is null and o.external_id is not null -- whoever has left is nobody's to look at
  and ($1::channel is null or d.channel = $1) and ($2::text is null or d.endpoint = $2)
  and ($3::timestamptz is null or d.died_at > $3)
order by d.died_at, d.request_id, d.owner_id, d.channel
limit $4;

-- name: replay_dead_letters
-- Have what lies tried once more. What was answered meanwhile, or has expired, is left alone.
-- $1 channel or null, $2 endpoint or null, $3 request id or null, $4 now
with asked as (
    update dead_letter d set due_at = $4
    from prompt p
    where p.request_id = d.request_id and p.owner_id = d.owner_id and p.state = 'delivered'
      and d.delivered_at is null and d.due_at is null
      and ($1::channel is null or d.channel = $1) and ($2::text is null or d.endpoint = $2)
      and ($3::bigint is null or d.request_id = $3)
    returning 1)
select count(*) from asked;

-- name: count_due_replays
-- How many replays are due or have a lapsed lease, by channel.
-- $1 now
select channel, count(*) from dead_letter where due_at <= $1 group by channel order by channel;

-- name: lock_due_replays
-- Lock replays of a channel that are due or whose lease has lapsed, with their prompts and owners: the order in which a claim locks.
-- $1 channel, $2 now, $3 how many
select d.request_id, d.owner_id, d.channel, d.replay_count, p.state = 'delivered' as is_waiting, p.asked_at,
       p.ctid::text as place
from dead_letter d
join prompt p using (request_id, owner_id)
join owner o on o.id = d.owner_id
where d.channel = $1 and d.due_at <= $2
order by d.due_at
limit $3
for no key update of d, p, o skip locked;

-- name: mark_replaying
-- Claim locked replays: the lease runs.
-- $1 request ids, $2 owner ids, $3 channels: one array a column; $4 end of the lease
update dead_letter d set due_at = $4, replay_count = d.replay_count + 1
from unnest($1::bigint[], $2::bigint[], $3::channel[]) as due (request_id, owner_id, channel)
where d.request_id = due.request_id and d.owner_id = due.owner_id and d.channel = due.channel;

-- name: mark_asked_again
-- Of what locked prompts asked their owners before, the later time counts.
-- $1 request ids, $2 owner ids: one array a column; $3 now
update prompt p set asked_at = $3
from unnest($1::bigint[], $2::bigint[]) as due (request_id, owner_id)
where p.request_id = due.request_id and p.owner_id = due.owner_id and p.state = 'delivered';

-- name: claimed_replays
-- Which claims of replays still may go out: not taken over, not answered, not unwished nor closed since.
-- $1 request ids, $2 owner ids, $3 channels, $4 replay counts: one array a column; $5 now
select d.request_id, d.owner_id
from unnest($1::bigint[], $2::bigint[], $3::channel[], $4::smallint[]) as mine (request_id, owner_id, channel, replay_count)
join dead_letter d using (request_id, owner_id, channel)
join prompt p using (request_id, owner_id)
join owner o on o.id = d.owner_id
join request r on r.id = d.request_id
where d.replay_count = mine.replay_count and d.due_at is not null and p.state = 'delivered'
  and unwished(p, o, r) is null and is_live(r, $5);

-- name: hold_replays
-- Put replays off.
-- $1 request ids, $2 owner ids, $3 channels, $4 until when: one array a column
update dead_letter d set due_at = held.until
from unnest($1::bigint[], $2::bigint[], $3::channel[], $4::timestamptz[]) as held (request_id, owner_id, channel, until)
where d.request_id = held.request_id and d.owner_id = held.owner_id and d.channel = held.channel;

-- name: put_replays_back
-- Put claims of replays that were not tried back in line, and when their owners were asked before. One that was taken over is left.
-- $1 request ids, $2 owner ids, $3 channels, $4 replay counts, $5 when asked before: one array a column; $6 when claimed, $7 the
-- lease's end, $8 now
with back as (
    update dead_letter d set due_at = $8, replay_count = d.replay_count - 1
    from unnest($1::bigint[], $2::bigint[], $3::channel[], $4::smallint[], $5::timestamptz[])
        as mine (request_id, owner_id, channel, replay_count, asked_at)
    where d.request_id = mine.request_id and d.owner_id = mine.owner_id and d.channel = mine.channel
      and d.replay_count = mine.replay_count and d.due_at = $7 and d.delivered_at is null
    returning d.request_id, d.owner_id, mine.asked_at)
update prompt p set asked_at = back.asked_at from back
where p.request_id = back.request_id and p.owner_id = back.owner_id and p.asked_at = $6 and p.state = 'delivered';

-- name: settle_replays
-- Note how replays ended: what failed lies again, and what arrived settles the prompt's other letters, too. A claim whose lease
-- was taken over changes nothing.
-- $1 request ids, $2 owner ids, $3 channels, $4 replay counts, $5 failures or nulls: one array a column; $6 now
update dead_letter d set due_at = null, delivered_at = case when done.failure is null then $6::timestamptz end,
    failure = coalesce(done.failure, d.failure)
from unnest($1::bigint[], $2::bigint[], $3::channel[], $4::smallint[], $5::text[])
    as done (request_id, owner_id, channel, replay_count, failure)
where d.request_id = done.request_id and d.owner_id = done.owner_id and d.delivered_at is null
  and (d.channel = done.channel and d.replay_count = done.replay_count and d.due_at is not null
       or d.channel <> done.channel and done.failure is null);

-- name: count_dead_letters
-- How many lie, by channel.
select channel, count(*) from dead_letter where delivered_at is null group by channel;
