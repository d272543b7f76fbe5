-- name: feed_page
-- What became public, newest first.
-- $1 before this item, or null; $2 how many; $3 agency, or null; $4 kind, or null; $5 offence, or null
select id, request_id, post_id, kind from feed_item
where ($1::bigint is null or id < $1) and ($3::bigint is null or agency_id = $3)
  and ($4::text is null or kind = $4) and ($5::text is null or offence = $5)
order by id desc limit $2;

-- name: feed_page_near
-- The same, of what lies near a place. The box holds all that can, and is turned once round the Earth, too, for what lies
-- beyond the antimeridian.
-- $1 to $5 as above; $6 longitude, $7 latitude of the place; $8 metres; $9 west, $10 south, $11 east, $12 north of the box
select id, request_id, post_id, kind from feed_item
where ($1::bigint is null or id < $1) and ($3::bigint is null or agency_id = $3)
  and ($4::text is null or kind = $4) and ($5::text is null or offence = $5)
  and (around && box(point($9::float8, $10::float8), point($11::float8, $12::float8))
       or around && box(point($9 + 360, $10), point($11 + 360, $12)) or around && box(point($9 - 360, $10), point($11 - 360, $12)))
  and box_distance_m(around, $6, $7) <= $8
order by id desc limit $2;

-- name: requests_after
-- The next published requests, in the order in which they became public.
-- $1 after this item; $2 how many
select id as item_id, request_id from feed_item where request_id is not null and id > $1 order by id limit $2;

-- name: requests_of_agency
-- An agency's published requests, newest first.
-- $1 agency; $2 before this item, or null; $3 how many
select id as item_id, request_id from feed_item
where agency_id = $1 and request_id is not null and ($2::bigint is null or id < $2)
order by id desc limit $3;
