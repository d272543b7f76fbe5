-- Accounts: who signs in, by what, and what they did.
--
-- member ── account ─┬─ session            a browser that is signed in
--                    ├─ recovery_code
--                    └─ device             a browser that signed in before, which strangers cannot lock out
-- invitation         how an account comes to be, or gets a new password
-- brake              failures of late; audit: who did what, for good
--
-- Random tokens are 256 bits (recovery codes 80), so their plain SHA-256 cannot be searched; only hashes are kept.

create type staff_role as enum ('operator', 'moderator');
create type key_scope as enum ('read', 'preview', 'request');

-- A member without an account holds keys only. Who was disabled opens nothing any more, by whatever way.
alter table member add column disabled_at timestamptz;

-- Keys of agencies get a name, a number and scopes; those that were given out keep what their member's role allowed.
alter table access_key
    add column id bigint generated always as identity constraint access_key_id_key unique,
    add column name text not null default '',
    add column scopes key_scope[] not null default '{}',
    add constraint access_key_name_length check (length(name) <= 200);
update access_key k set scopes = case when m.role = 'viewer' then '{read,preview}' else '{read,preview,request}' end::key_scope[]
from member m where m.id = k.member_id;
alter table access_key add constraint access_key_scoped check ((holder = 'agency') = (cardinality(scopes) > 0));
create index access_key_member on access_key (member_id) where member_id is not null;

-- totp_step is the newest time step of which a code was taken: one of it, or of an earlier one, is a replay.
create table account (
    id                  bigint generated always as identity constraint account_pkey primary key,
    email               text not null constraint account_email_key unique,
    name                text not null,
    member_id           bigint constraint account_member_key unique constraint account_member_fkey references member,
    staff_role          staff_role,
    password_hash       text not null,
    totp_secret         text,
    totp_confirmed_at   timestamptz,
    totp_step           bigint not null default 0,
    oidc_subject        text constraint account_oidc_subject_key unique,
    created_at          timestamptz not null,
    last_seen_at        timestamptz not null,
    disabled_at         timestamptz,
    constraint account_one_part check ((member_id is null) <> (staff_role is null)),
    constraint account_email_form check (email = lower(email) and length(email) between 3 and 254),
    constraint account_name_length check (length(name) between 1 and 200),
    constraint account_totp_whole check (totp_confirmed_at is null or totp_secret is not null)
);

-- `is_full` once the second factor was given; before, a session opens nothing but that.
-- An ended one stays, so that it is known again when it is used once more: `refused_at` is when that was first noted.
create table session (
    hash            bytea constraint session_pkey primary key,
    account_id      bigint not null constraint session_account_fkey references account,
    is_full         boolean not null,
    created_at      timestamptz not null,
    last_seen_at    timestamptz not null,
    ended_at        timestamptz,
    refused_at      timestamptz,
    constraint session_hash_length check (length(hash) = 32)
);
create index session_account on session (account_id) where ended_at is null;
create index session_created on session (created_at);

create table recovery_code (
    account_id  bigint not null constraint recovery_code_account_fkey references account,
    hash        bytea not null,
    used_at     timestamptz,
    constraint recovery_code_pkey primary key (account_id, hash)
);

create table device (
    hash        bytea constraint device_pkey primary key,
    account_id  bigint not null constraint device_account_fkey references account,
    seen_at     timestamptz not null
);
create index device_account on device (account_id);

-- account_id names whose password and second factor are set anew; without it a new account comes to be.
create table invitation (
    id          bigint generated always as identity constraint invitation_pkey primary key,
    hash        bytea not null constraint invitation_hash_key unique,
    email       text not null,
    name        text not null,
    agency_id   bigint constraint invitation_agency_fkey references agency,
    role        member_role,
    staff_role  staff_role,
    account_id  bigint constraint invitation_account_fkey references account,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    constraint invitation_one_part check (
        (agency_id is null) <> (staff_role is null) and (agency_id is null) = (role is null)),
    constraint invitation_email_form check (email = lower(email) and length(email) between 3 and 254),
    constraint invitation_name_length check (length(name) between 1 and 200),
    constraint invitation_one_end check (accepted_at is null or withdrawn_at is null)
);
create index invitation_open on invitation (agency_id) where accepted_at is null and withdrawn_at is null;

-- Failures of one account (as strangers name it, whether there is one or not), of one device, from one address.
-- The subject is a hash, so that this is no list of addresses.
create table brake (
    subject         bytea constraint brake_pkey primary key,
    failure_count   integer not null,
    since           timestamptz not null,
    locked_until    timestamptz,
    constraint brake_counted check (failure_count >= 0)
);
create index brake_since on brake (since);

-- Who did what, when, and from which network (of an address, only the part that names the provider's).
create table audit (
    id          bigint generated always as identity constraint audit_pkey primary key,
    at          timestamptz not null,
    event       text not null,
    actor       text not null,
    account_id  bigint,
    agency_id   bigint,
    subject     text not null,
    network     cidr,
    constraint audit_event_form check (event ~ '^[a-z_]+\.[a-z_]+$'),
    constraint audit_length check (length(actor) <= 300 and length(subject) <= 500)
);
create index audit_agency on audit (agency_id, id desc);

create function audit_keep() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is only ever added to' using errcode = 'restrict_violation';
end $$;
create trigger audit_keep before update or delete on audit for each row execute function audit_keep();
create trigger audit_keep_all before truncate on audit for each statement execute function audit_keep();
