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

-- name: end
-- End an access before its time; whether it was done.
-- $1 id, $2 network
select break_glass_end($1, $2::text::cidr);

-- name: access_by_id
-- What somebody asked for, by PostgreSQL's clock.
-- $1 id
select b.id, break_glass_owner(b.id) as owner, b.reason, b.asked_by, asker.name as asker_name, b.asked_at, b.ends_at,
       b.granted_by, granter.name as granter_name, b.granted_at, b.ended_by, ender.name as ender_name,
       b.ends_at <= clock_timestamp() as is_over
from break_glass b join account asker on asker.id = b.asked_by
left join account granter on granter.id = b.granted_by left join account ender on ender.id = b.ended_by
where b.id = $1;

-- name: accesses
-- What was asked for, with the same, newest first.
-- $1 how many
select b.id, break_glass_owner(b.id) as owner, b.reason, b.asked_by, asker.name as asker_name, b.asked_at, b.ends_at,
       b.granted_by, granter.name as granter_name, b.granted_at, b.ended_by, ender.name as ender_name,
       b.ends_at <= clock_timestamp() as is_over
from break_glass b join account asker on asker.id = b.asked_by
left join account granter on granter.id = b.granted_by left join account ender on ender.id = b.ended_by
order by b.id desc limit $1;

-- name: accesses_to_caller
-- When the data of the owner whom the transaction acts for was opened, newest first.
select opened_at, ends_at, reason from accesses_to_caller();
