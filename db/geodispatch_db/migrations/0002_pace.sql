-- Pace: what an owner wishes, how often each was asked, and a queue that stays fast at a million prompts.
--
-- All that decides over an owner stands in the owner's one row: a claim locks it, reads it and writes it, and asks nothing else
-- once an owner. What was asked lately is there too (asked_at, asked_for), so prompts can be pruned without forgetting it.

alter type suppression add value 'weekly_cap';
alter type suppression add value 'quarterly_cap';
alter type suppression add value 'owner_max';
alter type suppression add value 'opted_out';
alter type suppression add value 'muted';
alter type suppression add value 'no_camera';

-- ---- owners and their cameras

-- asked_at[i] is when request asked_for[i] was last put to the owner: the newest few, in no promised order.
-- quiet_start, quiet_end are minutes after midnight where the camera is; equal ones mean no quiet hours.
alter table owner
    add column opted_out_at timestamptz,
    add column muted_agency_ids bigint[] not null default '{}',
    add column muted_offences text[] not null default '{}',
    add column week_max smallint,
    add column quiet_start smallint,
    add column quiet_end smallint,
    add column channel channel,
    add column language text,
    add column asked_at timestamptz[] not null default '{}',
    add column asked_for bigint[] not null default '{}',
    add constraint owner_week_max check (week_max between 0 and 7),
    add constraint owner_quiet_start check (quiet_start between 0 and 1439),
    add constraint owner_quiet_end check (quiet_end between 0 and 1439),
    add constraint owner_quiet_whole check ((quiet_start is null) = (quiet_end is null)),
    add constraint owner_language_form check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$' and length(language) <= 35),
    add constraint owner_asked_pairs check (cardinality(asked_at) = cardinality(asked_for)),
    -- Each ask rewrites the row; with room on its page that touches no index.
    set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000);

update owner set asked_at = asked.asked_at, asked_for = asked.asked_for
from (select owner_id, array_agg(asked_at order by asked_at) as asked_at, array_agg(request_id order by asked_at) as asked_for
      from prompt where asked_at > now() - interval '90 days' group by owner_id) as asked
where asked.owner_id = owner.id;

-- The zone's name as the IANA has it; null where a camera came before it was looked up. A muted camera asks nobody.
alter table camera
    add column zone text,
    add column is_muted boolean not null default false,
    add constraint camera_zone_length check (length(zone) <= 64),
    add constraint camera_removed_zone check (zone is null or owner_id is not null);

-- How an owner is reached: as the owner wishes, else through the app, else in the inbox here.
create function channel_of(o owner) returns channel language sql stable
    return coalesce(o.channel, case when o.webhook_id is null then 'inbox' else 'webhook' end::channel);

-- ---- agencies and requests

-- The most owners that an agency may ask in any 24 hours; null for no limit but the owners' own. Counted by the hour.
alter table agency
    add column day_quota integer,
    add constraint agency_day_quota check (day_quota > 0);
create table agency_hour (
    agency_id   bigint not null constraint agency_hour_agency_fkey references agency,
    hour        timestamptz not null,
    asked_count integer not null,
    constraint agency_hour_pkey primary key (agency_id, hour),
    constraint agency_hour_counted check (asked_count > 0)
);

-- Whether prompts of a request may still go out. The one place that says so: whatever else comes to end a request before
-- its time belongs in here.
create function is_live(r request, at timestamptz) returns boolean language sql stable
    return r.state = 'open' and r.expires_at > at;

-- A request whose prompts are not all queued yet: the cameras that were inside when it was opened, 8 bytes each, little
-- end first. A worker queues them in order and counts on in the same transaction, so a crash loses and doubles nothing.
create table fan_out (
    request_id   bigint constraint fan_out_pkey primary key constraint fan_out_request_fkey references request,
    camera_ids   bytea not null,
    done_count   integer not null default 0,
    constraint fan_out_whole check (length(camera_ids) % 8 = 0),
    constraint fan_out_unfinished check (done_count >= 0 and done_count < length(camera_ids) / 8)
);
alter table fan_out alter column camera_ids set storage external; -- parts of it can then be read without the rest

-- A closed request whose prompts are not all settled, and later not all pruned; done_owner_id is how far that has come.
create table closing (
    request_id    bigint constraint closing_pkey primary key constraint closing_request_fkey references request,
    closed_at     timestamptz not null,
    is_settled    boolean not null default false,
    done_owner_id bigint not null default 0
);
create index closing_unsettled on closing (request_id) where not is_settled;
insert into closing (request_id, closed_at) select id, closed_at from request where state = 'closed';

-- ---- the queue

-- How fast a channel may go, over all senders: a token bucket. Rates are settings; the level is here.
create table channel_bucket (
    channel     channel constraint channel_bucket_pkey primary key,
    token_count double precision not null,
    filled_at   timestamptz not null,
    constraint channel_bucket_level check (token_count >= 0)
);

-- due_at is a prompt's place in line, which it keeps while it is being sent; lease_until is when its sender counts as dead.
alter table prompt
    add column camera_id bigint,
    add column channel channel not null default 'inbox',
    add column lease_until timestamptz,
    add column duration_s real;
update prompt set lease_until = due_at where state = 'sending';
update prompt set channel = channel_of(owner) from owner where owner.id = prompt.owner_id and prompt.state in ('queued', 'sending');
alter table prompt
    add constraint prompt_leased check ((state = 'sending') = (lease_until is not null));

-- A claim changes no indexed column and finds room on the page, so it writes no index. Predicates count as indexed columns:
-- hence due_at, which only settling takes away, and not the state. A prompt enters its owner's index when it is settled;
-- until then the owner's asked_for leads to it.
drop index prompt_queue;
drop index prompt_asked_of_owner;
create index prompt_queue on prompt (channel, due_at) where due_at is not null;
create index prompt_of_owner on prompt (owner_id, request_id) where due_at is null;
alter table prompt set (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_limit = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.02);

-- The try that settled a prompt is the prompt's own (channel, delivered_at, duration_s). A table holds the others: those that
-- failed, and those that were settled already when they came back.
alter table attempt rename to lost_attempt;
alter table lost_attempt rename constraint attempt_pkey to lost_attempt_pkey;
alter table lost_attempt drop constraint attempt_prompt_fkey;
update prompt p set channel = t.channel, duration_s = t.duration_s
from lost_attempt t
where t.request_id = p.request_id and t.owner_id = p.owner_id and t.number = p.attempt_count
  and t.failure is null and p.delivered_at is not null;
delete from lost_attempt t using prompt p
where t.request_id = p.request_id and t.owner_id = p.owner_id and t.number = p.attempt_count and p.duration_s is not null;
create view attempt as
    select request_id, owner_id, number, channel, settled_at, duration_s, failure from lost_attempt
    union all
    select request_id, owner_id, attempt_count, channel, delivered_at, duration_s, null from prompt where duration_s is not null;

-- What an owner has been asked: settled prompts by their index, those under way by the owner's asked_for.
create view reached_prompt as
    select * from prompt where due_at is null and state in ('delivered', 'answered', 'expired')
    union all
    select p.* from owner o cross join lateral unnest(o.asked_for) as asked (request_id)
    join prompt p on p.request_id = asked.request_id and p.owner_id = o.id
    where p.state = 'sending';

-- Foreign keys cost three quarters of what queueing a million prompts takes: a look-up and a lock a row. Whoever queues has
-- just read the owners from their table in the same transaction, and attempts are written by whoever holds the prompt; what
-- is left for the keys to forbid is that a parent goes away, and that is forbidden below and, for requests, by
-- request_keep_words.
alter table prompt drop constraint prompt_request_fkey, drop constraint prompt_owner_fkey;
create function owner_stays() returns trigger language plpgsql as $$
begin
    raise exception 'owners are never deleted' using errcode = 'restrict_violation';
end $$;
create trigger owner_stays before delete on owner for each statement execute function owner_stays();

-- ---- answers

alter table answer
    add column withdrawn_at timestamptz,
    add constraint answer_withdrawn check (withdrawn_at >= answered_at);
