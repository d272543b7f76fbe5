-- Review: who looked at a request before it became public or, of an exigent one, afterwards.
--
-- request ── review ── verdict    a review waits until enough reviewers let the request pass, or one refuses it
-- sensitive_place                 near one it takes two of them
-- request.exigent_reason          why it could not wait; justified by the agency in time, or it lapses

create type programme_review as enum ('sensitive', 'all');
create type verdict_kind as enum ('pass', 'refuse');
create type place_kind as enum ('worship', 'clinic', 'school', 'union_hall', 'polling_place');
alter type close_reason add value 'refused';

alter table programme_version add column review programme_review not null default 'sensitive';
alter table programme_version alter column review drop default;

-- A review that ended without an outcome was of a request that its agency took back.
create table review (
    request_id  bigint constraint review_pkey primary key constraint review_request_fkey references request,
    begun_at    timestamptz not null,
    ended_at    timestamptz,
    outcome     verdict_kind,
    constraint review_outcome check (outcome is null or ended_at is not null)
);
create index review_waiting on review (request_id) where ended_at is null;

-- agency_id is the request's: what a verdict opens changes the ground on which the agency's next requests are judged.
create table verdict (
    id          bigint generated always as identity constraint verdict_pkey primary key,
    request_id  bigint not null constraint verdict_review_fkey references review,
    agency_id   bigint not null constraint verdict_agency_fkey references agency,
    account_id  bigint not null constraint verdict_account_fkey references account,
    kind        verdict_kind not null,
    reason      text,
    given_at    timestamptz not null,
    constraint verdict_once unique (request_id, account_id),
    constraint verdict_reason check (kind = 'pass' or reason is not null)
);
create index verdict_agency on verdict (agency_id, id);
create unique index verdict_one_refusal on verdict (request_id) where kind = 'refuse';
create trigger verdict_keep before update or delete or truncate on verdict
    for each statement execute function law_keep();

-- Of each kind and point, the newest version is the one that counts.
create table sensitive_place (
    id          bigint generated always as identity constraint sensitive_place_pkey primary key,
    kind        place_kind not null,
    name        text not null,
    lon_e7      integer not null,
    lat_e7      integer not null,
    is_removed  boolean not null,
    entered_at  timestamptz not null,
    constraint sensitive_place_lon_range check (lon_e7 between -1800000000 and 1800000000),
    constraint sensitive_place_lat_range check (lat_e7 between -900000000 and 900000000)
);
create index sensitive_place_newest on sensitive_place (kind, lon_e7, lat_e7, id desc);
create trigger sensitive_place_keep before update or delete or truncate on sensitive_place
    for each statement execute function law_keep();

-- An exigent request is public at once. From lapses_at on it is none any more, unless the agency has justified it: then that
-- is null, as it is of all other requests.
alter table request
    add column exigent_reason text,
    add column lapses_at timestamptz,
    add column justification text,
    add column justified_by bigint,
    add column justified_at timestamptz,
    add constraint request_justifier_of_agency foreign key (agency_id, justified_by) references member (agency_id, id),
    add constraint request_lapses check (lapses_at is null or (exigent_reason is not null and justified_at is null)),
    add constraint request_justified check (num_nonnulls(justification, justified_by, justified_at) in (0, 3)),
    add constraint request_justified_when check (
        justified_at is null or (exigent_reason is not null and opened_at is not null));
create or replace function is_live(r request, at timestamptz) returns boolean language sql stable
    return r.state = 'open' and least(r.expires_at, r.stops_at, r.lapses_at) > at;
drop index request_open;
create index request_open on request (least(expires_at, stops_at, lapses_at)) where state = 'open';

create or replace function request_keep_words() returns trigger language plpgsql as $$
declare
    changing constant text[] := '{state,closed_at,close_reason,stops_at}';
    added text[] := '{justification,justified_by,justified_at,lapses_at}'; -- once, though it be closed
begin
    if tg_op = 'DELETE' then
        if old.opened_at is not null then
            raise exception 'request % is public and cannot be deleted', old.id using errcode = 'restrict_violation';
        end if;
        return old;
    end if;
    if old.justified_at is not null then
        added := '{}';
    end if;
    if old.opened_at is not null and (to_jsonb(new) - changing - added) is distinct from (to_jsonb(old) - changing - added) then
        raise exception 'request % is public and cannot be changed', old.id using errcode = 'restrict_violation';
    end if;
    if old.state = 'closed' and (to_jsonb(new) - added) is distinct from (to_jsonb(old) - added) then
        raise exception 'request % is closed', old.id using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
