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

-- name: insert_access_key
-- Keep the hash of a new key.
-- $1 SHA-256 of the key, $2 holder, $3 member id, $4 owner id
insert into access_key (hash, holder, member_id, owner_id) values ($1, $2, $3, $4);

-- name: revoke_access_key
-- End a key; a row where it was valid until now.
-- $1 SHA-256 of the key
update access_key set revoked_at = now() where hash = $1 and revoked_at is null returning holder;

-- name: key_holders
-- Whose keys these are; those that are unknown or revoked have no row.
-- $1 SHA-256 of the keys
select k.hash, k.holder, k.member_id, k.owner_id, m.agency_id, m.role
from access_key k left join member m on m.id = k.member_id
where k.hash = any($1::bytea[]) and k.revoked_at is null;
