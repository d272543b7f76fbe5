-- Breaking the glass: two people of the staff open the data of one owner, for a reason and until an instant.
--
-- One asks, another grants, and then the one who asked may read; each of it leaves a row in the audit, which the functions here
-- write themselves. No role of ours reads this any other way, and none can play both people: whom a transaction acts for is
-- sealed (see the function `caller`). The clock is PostgreSQL's own, for a thief would bring one that suits.

create table break_glass (
    id          bigint generated always as identity constraint break_glass_pkey primary key,
    owner_id    bigint not null constraint break_glass_owner_fkey references owner,
    reason      text not null,
    asked_by    bigint not null constraint break_glass_asked_by_fkey references account,
    asked_at    timestamptz not null default now(),
    ends_at     timestamptz not null,
    granted_by  bigint constraint break_glass_granted_by_fkey references account,
    granted_at  timestamptz,
    constraint break_glass_reason_length check (length(reason) between 10 and 500),
    constraint break_glass_ends check (ends_at > asked_at and ends_at <= asked_at + interval '24 hours'),
    constraint break_glass_two_people check (granted_by <> asked_by),
    constraint break_glass_granted check ((granted_by is null) = (granted_at is null) and granted_at < ends_at)
);

create function break_glass_note(event text, subject text, network cidr) returns void language sql security definer
set search_path = public, pg_temp as $$
    insert into audit (at, event, actor, account_id, subject, network)
    values (now(), $1, 'account ' || caller('staff'), caller('staff'), left($2, 500), $3)
$$;

-- Ask for the data of an owner; null where there is none of this name, or nobody of the staff asks.
create function break_glass_ask(owner_name text, reason text, valid_for interval, network cidr) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    made bigint;
begin
    insert into break_glass (owner_id, reason, asked_by, ends_at)
    select o.id, $2, caller('staff'), now() + $3 from owner o where o.external_id = $1 and caller('staff') > 0
    returning id into made;
    if made is not null then
        -- Not whose: the audit is no list of owners.
        perform break_glass_note('break_glass.asked', format('access %s: %s', made, $2), $4);
    end if;
    return made;
end $$;

-- Grant what another asked for; false where it is one's own, granted already, or over.
create function break_glass_grant(access bigint, network cidr) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update break_glass set granted_by = caller('staff'), granted_at = now()
    where id = $1 and granted_at is null and asked_by <> caller('staff') and caller('staff') > 0 and ends_at > now();
    if found then
        perform break_glass_note('break_glass.granted', format('access %s', $1), $2);
    end if;
    return found;
end $$;

-- What there is about the owner; null for anybody but who asked, before it is granted, and after its end.
create function break_glass_read(access bigint, network cidr) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    wanted bigint;
begin
    select owner_id into wanted from break_glass
    where id = $1 and granted_at is not null and asked_by = caller('staff') and ends_at > now();
    if wanted is null then
        return null;
    end if;
    perform break_glass_note('break_glass.read', format('access %s', $1), $2);
    return (
        select jsonb_build_object(
            'owner', o.external_id, 'opted_out_at', o.opted_out_at, 'channel', channel_of(o), 'language', o.language,
            'mail_address', (select m.address from mail_address m where m.owner_id = o.id),
            'cameras', coalesce((
                select jsonb_agg(jsonb_build_object('id', c.external_id, 'lon', c.lon_e7 / 1e7, 'lat', c.lat_e7 / 1e7,
                                                    'is_muted', c.is_muted) order by c.id)
                from camera c where c.owner_id = o.id), '[]'),
            'prompts', coalesce((
                select jsonb_agg(jsonb_build_object('request_id', p.request_id, 'state', p.state, 'asked_at', p.asked_at,
                                                    'delivered_at', p.delivered_at, 'choice', a.choice,
                                                    'withdrawn_at', a.withdrawn_at) order by p.request_id desc)
                from prompt p left join answer a on a.request_id = p.request_id and a.owner_id = p.owner_id
                where p.owner_id = o.id), '[]'))
        from owner o where o.id = wanted);
end $$;

revoke execute on function break_glass_note(text, text, cidr), break_glass_ask(text, text, interval, cidr),
    break_glass_grant(bigint, cidr), break_glass_read(bigint, cidr) from public;
grant execute on function break_glass_ask(text, text, interval, cidr), break_glass_grant(bigint, cidr),
    break_glass_read(bigint, cidr) to geodispatch_auditor;
-- Who asked for what, and why; not whose data it is.
grant select (id, reason, asked_by, asked_at, ends_at, granted_by, granted_at) on break_glass to geodispatch_auditor;
