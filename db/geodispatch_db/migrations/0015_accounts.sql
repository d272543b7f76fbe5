-- Accounts: sealed second factors, and keys that nobody uses any more.

-- The secrets of second factors are sealed (geodispatch/seal.py), so that a copy of the database opens no account.
--
-- Those that are here already only a service can seal, which has the keys: it does so when it opens. Until then their rows stay
-- as they are, hence "not valid"; from now on no secret is written in the clear.

alter table account
    add column totp_sealed bytea,
    drop constraint account_totp_whole,
    add constraint account_totp_whole check (totp_confirmed_at is null or num_nonnulls(totp_secret, totp_sealed) = 1),
    add constraint account_totp_sealed check (totp_secret is null) not valid;

-- A key that nobody used for half a year is ended, as an account is; for those of before the time begins now. An owner's is not:
-- nobody has to look into an inbox, and when an owner did is nobody's business.
alter table access_key add column last_used_at timestamptz;
update access_key set last_used_at = now() where holder <> 'owner';
alter table access_key add constraint access_key_use check ((holder = 'owner') = (last_used_at is null));
create index access_key_used on access_key (last_used_at) where revoked_at is null and holder <> 'owner';

-- Once a request is public its words stay; what was wrong in them is told beside them, as with a post.
create table request_correction (
    id              bigint generated always as identity constraint request_correction_pkey primary key,
    request_id      bigint not null constraint request_correction_request_fkey references request,
    member_id       bigint not null constraint request_correction_member_fkey references member,
    body            text not null,
    published_at    timestamptz not null
);
create index request_correction_request on request_correction (request_id, id);
create trigger request_correction_keep before update or delete on request_correction
    for each row execute function public_keep();
create trigger request_correction_keep_all before truncate on request_correction
    for each statement execute function public_keep();
