-- name: insert_invitation
-- Invite somebody.
-- $1 hash, $2 email, $3 name, $4 agency id, $5 role, $6 staff role, $7 account id, $8 now, $9 lapses at
insert into invitation (hash, email, name, agency_id, role, staff_role, account_id, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id;

-- name: lock_invitation
-- An invitation, for whoever holds its token; one who accepts it at the same time waits.
-- $1 hash
select i.*, g.slug as agency_slug, g.name as agency_name
from invitation i left join agency g on g.id = i.agency_id where i.hash = $1 for update of i;

-- name: accept_invitation
-- An invitation is used up.
-- $1 id, $2 now
update invitation set accepted_at = $2 where id = $1;

-- name: withdraw_invitation
-- Take an open invitation back; a row where there was one. Null for the agency means the staff's.
-- $1 id, $2 agency id, or null; $3 now
update invitation set withdrawn_at = $3
where id = $1 and agency_id is not distinct from $2::bigint and accepted_at is null and withdrawn_at is null
returning email;

-- name: withdraw_invitations_to
-- Take the same inviter's open invitations to an address back: the newest alone counts. No agency takes another's back.
-- $1 email, $2 agency id, or null for the staff's; $3 now
update invitation set withdrawn_at = $3
where email = $1 and agency_id is not distinct from $2::bigint and accepted_at is null and withdrawn_at is null;

-- name: open_invitations
-- Those that can still be accepted, newest first. Null for the agency means the staff's.
-- $1 agency id, or null; $2 now
select id, email, name, role, staff_role, created_at, expires_at from invitation
where agency_id is not distinct from $1::bigint and accepted_at is null and withdrawn_at is null and expires_at > $2
order by id desc;
