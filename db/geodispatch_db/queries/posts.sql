-- name: insert_post
-- Publish a post; no row where the agency has used this idempotency key before.
-- $1 agency, $2 member, $3 idempotency key, $4 SHA-256 of the submission, $5 kind, $6 title, $7 body, $8 area, $9 starts at,
-- $10 ends at, $11 now
insert into post (agency_id, member_id, idempotency_key, body_sha256, kind, title, body, area, starts_at, ends_at, published_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (agency_id, idempotency_key) do nothing
returning id;

-- name: post_by_idempotency_key
-- The post that an agency published under a key, and what it hashed to.
-- $1 agency, $2 idempotency key
select id, body_sha256 from post where agency_id = $1 and idempotency_key = $2;

-- name: posts_by_ids
-- These posts, with their agencies.
-- $1 ids
select p.*, a.slug as agency_slug, a.name as agency_name
from post p join agency a on a.id = p.agency_id
where p.id = any($1::bigint[]);

-- name: corrections_of_posts
-- What was corrected in these posts, oldest first.
-- $1 post ids
select post_id, body, published_at from post_correction where post_id = any($1::bigint[]) order by id;

-- name: insert_correction
-- Append a correction to a post of the agency; no row where it has none of this id. Those of one post follow each other, so
-- that their ids stand in the order of their leaves.
-- $1 post, $2 agency, $3 member, $4 body, $5 now
insert into post_correction (post_id, member_id, body, published_at)
select id, $3, $4, $5 from post where id = $1 and agency_id = $2 for no key update
returning id;

-- name: all_post_ids
-- Every post.
select id from post order by id;
