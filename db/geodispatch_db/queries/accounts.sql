-- name: insert_agency
-- Add an agency; no row where the slug is taken.
-- $1 slug, $2 name, $3 kind
insert into agency (slug, name, kind) values ($1, $2, $3) on conflict (slug) do nothing returning id;

-- name: agency_by_slug
-- Find an agency.
-- $1 slug
select id from agency where slug = $1;

-- name: lock_agency
-- Hold an agency until the transaction ends: of all who submit for it, one judges what the others did.
-- $1 id
select id from agency where id = $1 for no key update;

-- name: insert_member
-- Add a member to an agency.
-- $1 agency id, $2 name, $3 role
insert into member (agency_id, name, role) values ($1, $2, $3) returning id;

-- name: members_of_agency
-- An agency's members, with the accounts of those who sign in.
-- $1 agency id
select m.id, m.name, m.role, m.disabled_at, a.email, a.last_seen_at
from member m left join account a on a.member_id = m.id
where m.agency_id = $1 order by m.id;

-- name: lock_members
-- Hold an agency's members as they are: which admins there are decides over a change.
-- $1 agency id
select id, role, disabled_at from member where agency_id = $1 order by id for update;

-- name: change_member
-- Give a member another role, or disable or enable one.
-- $1 member id, $2 role, $3 disabled at, or null
update member set role = $2, disabled_at = $3 where id = $1;

-- name: insert_access_key
-- Keep the hash of a new key and return its number.
-- $1 SHA-256 of the key, $2 holder, $3 member id, $4 owner id, $5 name, $6 scopes, $7 now
insert into access_key (hash, holder, member_id, owner_id, name, scopes, created_at, last_used_at)
values ($1, $2, $3, $4, $5, $6::text[]::key_scope[], $7, case when $4::bigint is null then $7::timestamptz end)
returning id;

-- name: revoke_access_key
-- End a key; its number where it was valid until now.
-- $1 SHA-256 of the key
update access_key set revoked_at = now() where hash = $1 and revoked_at is null returning id;

-- name: keys_of_agency
-- An agency's keys that open something, newest first.
-- $1 agency id
select k.id, k.name, k.scopes::text[] as scopes, m.name as member_name, k.created_at, k.last_used_at
from access_key k join member m on m.id = k.member_id
where m.agency_id = $1 and k.revoked_at is null and m.disabled_at is null order by k.id desc;

-- name: revoke_key_of_agency
-- End one of an agency's keys; its name where it was valid until now.
-- $1 agency id, $2 number of the key
update access_key k set revoked_at = now() from member m
where k.id = $2 and m.id = k.member_id and m.agency_id = $1 and k.revoked_at is null returning k.name;

-- name: key_holders
-- Whose keys these are; those that are unknown or revoked, or whose member was disabled, have no row.
-- $1 SHA-256 of the keys
select k.hash, k.id, k.holder, k.member_id, k.owner_id, m.agency_id, m.role, k.scopes::text[] as scopes,
       k.last_used_at, a.last_seen_at as member_seen_at
from access_key k left join member m on m.id = k.member_id left join account a on a.member_id = k.member_id
where k.hash = any($1::bytea[]) and k.revoked_at is null and m.disabled_at is null and a.disabled_at is null;

-- name: see_keys
-- Note that keys are used.
-- $1 numbers of the keys, $2 now
update access_key set last_used_at = greatest(last_used_at, $2) where id = any ($1::bigint[]) and holder <> 'owner';

-- name: end_dormant_keys
-- End the keys that nobody used for long, and those of members whose accounts nobody did; a row for each.
-- $1 used before, $2 accounts, $3 now
update access_key k set revoked_at = $3
where k.revoked_at is null and k.holder <> 'owner'
  and (k.last_used_at < $1 or k.member_id in (select member_id from account where id = any ($2::bigint[])))
returning k.id, k.name, (select agency_id from member where id = k.member_id) as agency_id;
