-- name: insert_flag
-- Keep a reader's flag of a published request, or of a post; no row where there is none of this id.
-- $1 request, or null; $2 post, or null; $3 reason, $4 detail, $5 now
insert into flag (request_id, post_id, reason, detail, flagged_at)
select $1, $2, $3, $4, $5
where exists (select from request where id = $1 and opened_at is not null) or exists (select from post where id = $2)
returning id;

-- name: insert_flag_contact
-- Keep how the reader can be reached.
-- $1 flag, $2 contact
insert into flag_contact (flag_id, contact) values ($1, $2);

-- name: insert_flag_outcome
-- Append what came of a flag; no row where there is no such flag. Those of one flag follow each other, so that their ids
-- stand in the order of their leaves.
-- $1 flag, $2 account, or null; $3 body, $4 now
insert into flag_outcome (flag_id, account_id, body, published_at)
select id, $2, $3, $4 from flag where id = $1 for no key update
returning id;

-- name: flags_of_things
-- The flags of these requests and posts, oldest first.
-- $1 request ids, $2 post ids
select id, request_id, post_id, reason, flagged_at from flag
where request_id = any($1::bigint[]) or post_id = any($2::bigint[])
order by id;

-- name: outcomes_of_flags
-- What came of these flags, oldest first.
-- $1 flag ids
select flag_id, body, published_at from flag_outcome where flag_id = any($1::bigint[]) order by id;

-- name: flags_page
-- All flags, newest first, with what only the operator sees.
-- $1 before this flag, or null; $2 how many; $3 true for those without an outcome only
select f.id, f.request_id, f.post_id, f.reason, f.detail, f.flagged_at, c.contact
from flag f left join flag_contact c on c.flag_id = f.id
where ($1::bigint is null or f.id < $1)
  and (not $3::boolean or not exists (select from flag_outcome o where o.flag_id = f.id))
order by f.id desc limit $2;
