-- Ordinances: what the law of a place says of requests there; and whether the programme takes requests at all.
--
-- jurisdiction ── ordinance_version
-- request.stops_at  the instant from which an ordinance ends it
-- request ── approval   who of a second rank let it become public; until then it is in review

create type ordinance_rule as enum ('banned', 'authorisation', 'two_rank', 'limits');
create type programme_requests as enum ('public', 'ended');
alter type close_reason add value 'programme_ended';

-- What an ordinance, known by its slug, says from the entry of this version on; its newest version is the one that counts.
-- Of a council's authorisation, from_at is its in-force date and until_at its end date.
create table ordinance_version (
    id              bigint generated always as identity constraint ordinance_version_pkey primary key,
    slug            text not null,
    jurisdiction_id bigint not null constraint ordinance_version_jurisdiction_fkey references jurisdiction,
    rule            ordinance_rule not null,
    reference       text not null,
    from_at         timestamptz not null,
    until_at        timestamptz,
    limits          jsonb,
    reason          text not null,
    entered_at      timestamptz not null,
    constraint ordinance_version_slug_form check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) <= 64),
    constraint ordinance_version_reference_length check (length(reference) between 1 and 200),
    constraint ordinance_version_reason_length check (length(reason) between 3 and 500),
    constraint ordinance_version_order check (until_at >= from_at),
    constraint ordinance_version_limits check ((rule = 'limits') = (limits is not null))
);
create index ordinance_version_newest on ordinance_version (slug, id desc);

create table programme_version (
    id          bigint generated always as identity constraint programme_version_pkey primary key,
    requests    programme_requests not null,
    reason      text not null,
    entered_at  timestamptz not null,
    constraint programme_version_reason_length check (length(reason) between 3 and 500)
);
insert into programme_version (requests, reason, entered_at) values ('public', 'The beginning.', '2019-01-01T00:00:00Z');

create table approval (
    id          bigint generated always as identity constraint approval_pkey primary key,
    request_id  bigint not null constraint approval_request_key unique constraint approval_request_fkey references request,
    agency_id   bigint not null,
    member_id   bigint not null,
    approved_at timestamptz not null,
    constraint approval_member_of_agency foreign key (agency_id, member_id) references member (agency_id, id)
);
create index approval_agency on approval (agency_id, id);

create function law_keep() returns trigger language plpgsql as $$
begin
    raise exception '% is only ever added to', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger ordinance_version_keep before update or delete or truncate on ordinance_version
    for each statement execute function law_keep();
create trigger programme_version_keep before update or delete or truncate on programme_version
    for each statement execute function law_keep();
create trigger approval_keep before update or delete or truncate on approval
    for each statement execute function law_keep();

-- A claim asks the request for this and no ordinance, nor where it lies. What changes an ordinance sets it, in the same
-- transaction; null where no ordinance ends the request.
alter table request add column stops_at timestamptz;
create or replace function is_live(r request, at timestamptz) returns boolean language sql stable
    return r.state = 'open' and least(r.expires_at, r.stops_at) > at;
drop index request_open;
create index request_open on request (least(expires_at, stops_at)) where state = 'open';

create or replace function request_keep_words() returns trigger language plpgsql as $$
declare
    changing constant text[] := '{state,closed_at,close_reason,stops_at}';
begin
    if tg_op = 'DELETE' then
        if old.opened_at is not null then
            raise exception 'request % is public and cannot be deleted', old.id using errcode = 'restrict_violation';
        end if;
        return old;
    end if;
    if old.opened_at is not null and (to_jsonb(new) - changing) is distinct from (to_jsonb(old) - changing) then
        raise exception 'request % is public and cannot be changed', old.id using errcode = 'restrict_violation';
    end if;
    if old.state = 'closed' and new is distinct from old then
        raise exception 'request % is closed', old.id using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
