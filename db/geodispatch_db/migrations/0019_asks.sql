-- Asks stand where they were made: in the prompts, which lie by owner now. So a claim finds what an owner was asked beside the prompt
-- that it is about, and writes nothing but that prompt; and what is settled goes into one index instead of two.

-- What an owner was asked, or is just being asked.
create or replace view reached_prompt with (security_invoker = true) as
    select * from prompt where state in ('sending', 'delivered', 'answered', 'expired');

-- A replay was noted with the owner alone.
update prompt p set asked_at = asked.at
from owner o cross join lateral unnest(o.asked_at, o.asked_for) as asked (at, request_id)
where p.owner_id = o.id and p.request_id = asked.request_id and p.asked_at < asked.at;

-- Owners keep those of prompts that were pruned while some cap still counted them.
alter table owner drop constraint owner_asked_pairs;
update owner o set asked_at = array(
    select asked.at from unnest(o.asked_at, o.asked_for) as asked (at, request_id)
    where not exists (select from prompt p where p.owner_id = o.id and p.request_id = asked.request_id))
where asked_at <> '{}';
alter table owner drop column asked_for;
alter table owner set (fillfactor = 90), reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_limit);

-- A request's prompts are written one after the other and lie together; so an index of a few bytes for each 256 KB finds them, for
-- whatever is done to all of a request in turn. A new version of a prompt costs it next to nothing. Into the primary key each prompt
-- that is settled goes once more; where it was filled in the owners' order, as it is for a while, it has room for that.
alter table answer drop constraint answer_prompt_fkey;
alter table prompt
    drop constraint prompt_pkey,
    add constraint prompt_pkey primary key (owner_id, request_id) with (fillfactor = 50);
alter table answer add constraint answer_prompt_fkey foreign key (request_id, owner_id) references prompt (request_id, owner_id);
drop index prompt_of_owner;
create index prompt_of_request on prompt using brin (request_id int8_minmax_multi_ops) with (pages_per_range = 32);

-- Which columns go with which state: one table, evaluated once, instead of a rule for each column.
alter table prompt
    drop constraint prompt_due, drop constraint prompt_asked, drop constraint prompt_delivered,
    drop constraint prompt_suppressed, drop constraint prompt_leased,
    add constraint prompt_columns check (case state
        when 'queued' then due_at is not null and num_nonnulls(lease_until, delivered_at, suppressed_for) = 0
        when 'sending' then num_nulls(due_at, lease_until, asked_at) = 0 and num_nonnulls(delivered_at, suppressed_for) = 0
        when 'suppressed' then suppressed_for is not null and num_nonnulls(due_at, lease_until, delivered_at) = 0
        else num_nulls(delivered_at, asked_at) = 0 and num_nonnulls(due_at, lease_until, suppressed_for) = 0 end);

-- How many prompts have been worked off, this time round. It is no place to go on from: those that are done are not found again.
alter table closing rename column done_owner_id to done_count;

-- Keep in owners when they were asked, if a cap may still count it: the prompts are about to go. An owner who was forgotten is a
-- number, of which nothing is kept. Owners are locked in the order of their names, as by all who write several.
create function keep_asks(owner_ids bigint[], asked_at timestamptz[], since timestamptz) returns void language sql
security definer set search_path = public, pg_temp as $$
    select from owner o where o.id = any ($1) and o.external_id is not null order by o.external_id for no key update;
    update owner o set asked_at = array(select at from unnest(o.asked_at) as earlier (at) where at > $3) || asked.at
    from unnest($1, $2) as asked (owner_id, at)
    where o.id = asked.owner_id and o.external_id is not null
$$;
revoke execute on function keep_asks(bigint[], timestamptz[], timestamptz) from public;
grant execute on function keep_asks(bigint[], timestamptz[], timestamptz) to geodispatch_keeper;
grant select (asked_at) on prompt to geodispatch_keeper;
