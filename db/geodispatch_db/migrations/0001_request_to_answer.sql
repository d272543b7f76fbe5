-- The main job, from a fence to an owner's answer.
--
-- Who may ask:   agency - member - access_key
-- Who is asked:  owner - camera (coordinates are degrees x 1e7, as in the index), webhook
-- What is asked: request -> prompt (one per request and owner) -> attempt, answer
--
-- The enums repeat the states of geodispatch/request.py and geodispatch/prompt.py; a test compares them. The CHECKs forbid
-- rows that no sequence of transitions can reach.

create type agency_kind as enum ('municipal_police', 'county_sheriff', 'state_police', 'campus_police', 'fire', 'emergency_management');
create type member_role as enum ('viewer', 'requester', 'supervisor', 'admin');
create type key_holder as enum ('agency', 'owner', 'operator');
create type request_state as enum ('draft', 'review', 'open', 'closed');
create type close_reason as enum ('resolved', 'expired', 'withdrawn', 'ordinance');
create type prompt_state as enum ('queued', 'sending', 'delivered', 'answered', 'expired', 'suppressed');
create type suppression as enum ('daily_cap', 'request_closed');
create type choice as enum ('share', 'decline');
create type channel as enum ('inbox', 'webhook');

create table agency (
    id          bigint generated always as identity constraint agency_pkey primary key,
    slug        text not null constraint agency_slug_key unique,
    name        text not null,
    kind        agency_kind not null,
    created_at  timestamptz not null default now(),
    constraint agency_slug_form check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) <= 64),
    constraint agency_name_length check (length(name) between 1 and 200)
);

create table member (
    id          bigint generated always as identity constraint member_pkey primary key,
    agency_id   bigint not null constraint member_agency_fkey references agency,
    name        text not null,
    role        member_role not null,
    created_at  timestamptz not null default now(),
    constraint member_agency_key unique (agency_id, id),
    constraint member_name_length check (length(name) between 1 and 200)
);

-- Where a neighbours-app backend takes the prompts of its owners (Standard Webhooks).
create table webhook (
    id          bigint generated always as identity constraint webhook_pkey primary key,
    url         text not null constraint webhook_url_key unique,
    secret      text not null,
    created_at  timestamptz not null default now()
);

create table owner (
    id          bigint generated always as identity constraint owner_pkey primary key,
    external_id text not null constraint owner_external_id_key unique,
    webhook_id  bigint constraint owner_webhook_fkey references webhook,
    created_at  timestamptz not null default now(),
    constraint owner_external_id_length check (length(external_id) between 1 and 128)
);

-- A random key is 256 bits, so its plain SHA-256 cannot be searched; only the hash is kept.
create table access_key (
    hash        bytea constraint access_key_pkey primary key,
    holder      key_holder not null,
    member_id   bigint constraint access_key_member_fkey references member,
    owner_id    bigint constraint access_key_owner_fkey references owner,
    created_at  timestamptz not null default now(),
    revoked_at  timestamptz,
    constraint access_key_hash_length check (length(hash) = 32),
    constraint access_key_one_holder check (
        (member_id is not null) = (holder = 'agency') and (owner_id is not null) = (holder = 'owner'))
);
create index access_key_owner on access_key (owner_id) where owner_id is not null;

-- The table is its own change feed: every change stamps the row with its transaction, and a removed camera stays behind
-- as a row without owner or place. A follower reads up to the oldest running transaction, so that no row shows up behind it.
create table camera (
    id          bigint generated always as identity constraint camera_pkey primary key,
    external_id text not null constraint camera_external_id_key unique,
    owner_id    bigint constraint camera_owner_fkey references owner,
    lon_e7      integer,
    lat_e7      integer,
    changed_in  xid8 not null default pg_current_xact_id(),
    constraint camera_external_id_length check (length(external_id) between 1 and 128),
    constraint camera_lon_range check (lon_e7 between -1800000000 and 1800000000),
    constraint camera_lat_range check (lat_e7 between -900000000 and 900000000),
    constraint camera_removed_whole check (num_nonnulls(owner_id, lon_e7, lat_e7) in (0, 3))
);
create index camera_changed on camera (changed_in);

-- One noised histogram an epoch: owner locations per H3 cell. The preview reads this and never the cameras.
create table density_epoch (
    id          bigint generated always as identity constraint density_epoch_pkey primary key,
    resolution  smallint not null,
    epsilon     double precision not null,
    drawn_at    timestamptz not null,
    constraint density_epoch_epsilon check (epsilon > 0)
);
create table density (
    epoch_id    bigint not null constraint density_epoch_fkey references density_epoch on delete cascade,
    cell        bigint not null,
    owner_count integer not null,
    constraint density_pkey primary key (epoch_id, cell),
    constraint density_positive check (owner_count > 0)
);

create table request (
    id              bigint generated always as identity constraint request_pkey primary key,
    agency_id       bigint not null constraint request_agency_fkey references agency,
    member_id       bigint not null,
    idempotency_key text not null,
    body_sha256     bytea not null,
    case_number     text not null,
    offence         text not null,
    body            text not null,
    contact_name    text not null,
    contact_email   text not null,
    window_start    timestamptz not null,
    window_end      timestamptz not null,
    fence           jsonb not null,
    area_m2         double precision not null,
    state           request_state not null,
    opened_at       timestamptz,
    expires_at      timestamptz,
    closed_at       timestamptz,
    close_reason    close_reason,
    constraint request_idempotency_key unique (agency_id, idempotency_key),
    constraint request_member_of_agency foreign key (agency_id, member_id) references member (agency_id, id),
    constraint request_window_order check (window_start < window_end),
    constraint request_opened check ((state in ('open', 'closed')) = (opened_at is not null and expires_at is not null)),
    constraint request_closed check (
        (state = 'closed') = (closed_at is not null) and (state = 'closed') = (close_reason is not null))
);
create index request_open on request (expires_at) where state = 'open';

-- Public and final: once open, a request's words and fence never change, whoever holds the connection.
create function request_keep_words() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if old.opened_at is not null then
            raise exception 'request % is public and cannot be deleted', old.id using errcode = 'restrict_violation';
        end if;
        return old;
    end if;
    if old.opened_at is not null and
       (to_jsonb(new) - '{state,closed_at,close_reason}'::text[]) is distinct from (to_jsonb(old) - '{state,closed_at,close_reason}'::text[]) then
        raise exception 'request % is public and cannot be changed', old.id using errcode = 'restrict_violation';
    end if;
    if old.state = 'closed' and new is distinct from old then
        raise exception 'request % is closed', old.id using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create trigger request_keep_words before update or delete on request
    for each row execute function request_keep_words();

-- The queue. `key` is the name a prompt has outside (an id that counts up would tell how many were asked); due_at is when a
-- queued prompt may be claimed, or when a sending one's lease lapses; asked_at counts towards the owner's caps.
create table prompt (
    request_id      bigint not null constraint prompt_request_fkey references request,
    owner_id        bigint not null constraint prompt_owner_fkey references owner,
    key             uuid not null,
    state           prompt_state not null default 'queued',
    due_at          timestamptz,
    asked_at        timestamptz,
    attempt_count   smallint not null default 0,
    delivered_at    timestamptz,
    suppressed_for  suppression,
    constraint prompt_pkey primary key (request_id, owner_id),
    constraint prompt_due check ((state in ('queued', 'sending')) = (due_at is not null)),
    constraint prompt_asked check (state = 'queued' or (state = 'suppressed') or asked_at is not null),
    constraint prompt_delivered check ((state in ('delivered', 'answered', 'expired')) = (delivered_at is not null)),
    constraint prompt_suppressed check ((state = 'suppressed') = (suppressed_for is not null)),
    constraint prompt_attempts check (attempt_count >= 0 and (attempt_count = 0) = (asked_at is null))
);
create index prompt_queue on prompt (due_at) where state in ('queued', 'sending');
create index prompt_asked_of_owner on prompt (owner_id, asked_at desc) where asked_at is not null;

create table attempt (
    request_id  bigint not null,
    owner_id    bigint not null,
    number      smallint not null,
    channel     channel not null,
    settled_at  timestamptz not null,
    duration_s  real not null,
    failure     text,
    constraint attempt_pkey primary key (request_id, owner_id, number),
    constraint attempt_prompt_fkey foreign key (request_id, owner_id) references prompt
);

create table answer (
    request_id  bigint not null,
    owner_id    bigint not null,
    choice      choice not null,
    answered_at timestamptz not null,
    constraint answer_pkey primary key (request_id, owner_id),
    constraint answer_prompt_fkey foreign key (request_id, owner_id) references prompt
);

-- Followers of the feed and senders wait on these; what they then read is the tables.
create function notify_followers() returns trigger language plpgsql as $$
begin
    perform pg_notify('geodispatch_' || tg_table_name, '');
    return null;
end $$;
create trigger camera_notify after insert or update on camera for each statement execute function notify_followers();
create trigger prompt_notify after insert on prompt for each statement execute function notify_followers();
