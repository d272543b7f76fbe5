-- name: insert_account
-- Add an account; no row where the address has one.
-- $1 email, $2 name, $3 member id, $4 staff role, $5 password hash, $6 now
insert into account (email, name, member_id, staff_role, password_hash, created_at, last_seen_at)
values ($1, $2, $3, $4, $5, $6, $6) on conflict (email) do nothing returning id;

-- name: account_by_email
-- Find who signs in by this address.
-- $1 email
select a.*, m.agency_id, m.role, g.slug as agency_slug, g.name as agency_name,
       coalesce(a.disabled_at, m.disabled_at) as closed_at
from account a left join member m on m.id = a.member_id left join agency g on g.id = m.agency_id
where a.email = $1;

-- name: account_by_id
-- The same, by number.
-- $1 account id
select a.*, m.agency_id, m.role, g.slug as agency_slug, g.name as agency_name,
       coalesce(a.disabled_at, m.disabled_at) as closed_at
from account a left join member m on m.id = a.member_id left join agency g on g.id = m.agency_id
where a.id = $1;

-- name: account_of_member
-- The number of a member's account.
-- $1 member id
select id from account where member_id = $1;

-- name: account_by_subject
-- Find who signs in under this name of the provider's, bound to it before.
-- $1 issuer and subject
select id from account where oidc_subject = $1;

-- name: bind_subject
-- Bind an account to the provider's name for it; no row where it is bound already.
-- $1 email, $2 issuer and subject
update account set oidc_subject = $2 where email = $1 and oidc_subject is null returning id;

-- name: set_password
-- Keep another password's hash.
-- $1 account id, $2 hash
update account set password_hash = $2 where id = $1;

-- name: rehash_password
-- Keep the same password's hash under newer parameters, unless the password was changed meanwhile.
-- $1 account id, $2 hash before, $3 hash
update account set password_hash = $3 where id = $1 and password_hash = $2;

-- name: disable_account
-- Close an account.
-- $1 account id, $2 now
update account set disabled_at = coalesce(disabled_at, $2) where id = $1;

-- name: close_dormant_accounts
-- Close the accounts that nobody used for long; a row for each.
-- $1 used before, $2 now
update account a set disabled_at = $2 where a.disabled_at is null and a.last_seen_at < $1
returning a.id, (select agency_id from member where id = a.member_id) as agency_id;

-- name: enable_account
-- Open an account again; its time without use begins anew.
-- $1 account id, $2 now
update account set disabled_at = null, last_seen_at = $2 where id = $1;

-- name: see_account
-- Note that an account is used.
-- $1 account id, $2 now
update account set last_seen_at = greatest(last_seen_at, $2) where id = $1;

-- name: set_up_second_factor
-- Keep a secret that is still to be confirmed; no row where a second factor is in force.
-- $1 account id, $2 sealed secret
update account set totp_sealed = $2, totp_step = 0 where id = $1 and totp_confirmed_at is null returning id;

-- name: take_step
-- Take a code's time step; no row where it, or a later one, was taken before. The first confirms the second factor.
-- $1 account id, $2 sealed secret, $3 time step, $4 now
update account set totp_step = $3, totp_confirmed_at = coalesce(totp_confirmed_at, $4)
where id = $1 and totp_sealed = $2 and totp_step < $3 returning id;

-- name: drop_second_factor
-- Forget an account's second factor.
-- $1 account id
with codes as (delete from recovery_code where account_id = $1)
update account set totp_sealed = null, totp_confirmed_at = null, totp_step = 0 where id = $1;

-- name: lock_secrets
-- All secrets of second factors, sealed or not yet, held as they are.
select id, totp_secret, totp_sealed from account
where totp_secret is not null or totp_sealed is not null order by id for update;

-- name: seal_secret
-- Keep an account's secret sealed, and so only.
-- $1 account id, $2 sealed secret
update account set totp_sealed = $2, totp_secret = null where id = $1;

-- name: insert_recovery_codes
-- Keep the hashes of new recovery codes.
-- $1 account id, $2 hashes
insert into recovery_code (account_id, hash) select $1, unnest($2::bytea[]);

-- name: use_recovery_code
-- Take a recovery code; no row where there is none of it left.
-- $1 account id, $2 hash, $3 now
update recovery_code set used_at = $3 where account_id = $1 and hash = $2 and used_at is null returning hash;

-- name: knows_recovery_code
-- Whether a recovery code was ever one.
-- $1 account id, $2 hash
select exists (select from recovery_code where account_id = $1 and hash = $2) as is_known;

-- name: insert_session
-- Begin a session.
-- $1 hash, $2 account id, $3 whether the second factor was given, $4 now
insert into session (hash, account_id, is_full, created_at, last_seen_at) values ($1, $2, $3, $4, $4);

-- name: find_session
-- A session, ended or not.
-- $1 hash
select account_id, is_full, created_at, last_seen_at, ended_at, refused_at from session where hash = $1;

-- name: see_session
-- Note that a session is used.
-- $1 hash, $2 now
update session set last_seen_at = greatest(last_seen_at, $2) where hash = $1 and ended_at is null;

-- name: end_session
-- End a session; a row where it had not ended.
-- $1 hash, $2 now
update session set ended_at = $2 where hash = $1 and ended_at is null returning account_id;

-- name: end_sessions
-- End all sessions of accounts.
-- $1 account ids, $2 now
update session set ended_at = $2 where account_id = any ($1::bigint[]) and ended_at is null;

-- name: refuse_session
-- Note that an ended session was used; a row the first time.
-- $1 hash, $2 now
update session set refused_at = $2 where hash = $1 and refused_at is null returning account_id;

-- name: insert_device
-- Know a browser again.
-- $1 hash, $2 account id, $3 now
insert into device (hash, account_id, seen_at) values ($1, $2, $3) on conflict (hash) do update set seen_at = $3;

-- name: is_device
-- Whether an account was signed in to from this browser.
-- $1 hash, $2 account id
select exists (select from device where hash = $1 and account_id = $2) as is_known;

-- name: forget_devices
-- Know none of an account's browsers any more.
-- $1 account id
delete from device where account_id = $1;

-- name: count_try
-- Count a try as failed before it is made, so that a hundred at once do not all pass; what came of it is told later.
-- $1 subject, $2 now, $3 limit, $4 window, $5 how long it is locked
insert into brake as b (subject, failure_count, since) values ($1, 1, $2)
on conflict (subject) do update set
    failure_count = case when $2 >= coalesce(b.locked_until, b.since + $4::interval) then 1 else b.failure_count + 1 end,
    since = case when $2 >= coalesce(b.locked_until, b.since + $4::interval) then $2 else b.since end,
    locked_until = case when $2 >= coalesce(b.locked_until, b.since + $4::interval) then null
                        when b.locked_until is not null then b.locked_until
                        when b.failure_count + 1 >= $3::integer then $2 + $5::interval end
returning failure_count, locked_until;

-- name: forgive
-- A try succeeded: the failures of these are forgotten.
-- $1 subjects
delete from brake where subject = any ($1::bytea[]);

-- name: uncount_try
-- A try succeeded: it was no failure, but those before it were.
-- $1 subject
update brake set failure_count = failure_count - 1, locked_until = null where subject = $1 and failure_count > 0;

-- name: lock_staff
-- All operators and moderators, held as they are: which operators there are decides over a change.
select id, email, name, staff_role, last_seen_at, disabled_at from account
where staff_role is not null order by id for update;
