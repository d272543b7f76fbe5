-- name: ask
-- Ask for access to an owner's data; null where there is no such owner.
-- $1 external id, $2 reason, $3 for how long, $4 network
select break_glass_ask($1, $2, $3, $4::text::cidr);

-- name: grant
-- Grant what another asked for; whether it was done.
-- $1 id, $2 network
select break_glass_grant($1, $2::text::cidr);

-- name: read_owner
-- What there is about the owner; null for whom it is not granted.
-- $1 id, $2 network
select break_glass_read($1, $2::text::cidr);

-- name: access_by_id
-- What somebody asked for, by PostgreSQL's clock.
-- $1 id
select id, reason, asked_by, asked_at, ends_at, granted_by, granted_at, ends_at <= now() as is_over from break_glass where id = $1;

-- name: accesses
-- What was asked for, newest first.
-- $1 how many
select id, reason, asked_by, asked_at, ends_at, granted_by, granted_at, ends_at <= now() as is_over
from break_glass order by id desc limit $1;
