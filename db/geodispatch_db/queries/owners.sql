-- name: upsert_owners
-- Make owners known, and reach them through a webhook where one is named.
-- $1 external ids, each once; $2 webhook id or null
insert into owner (external_id, webhook_id)
select external_id, $2::bigint from unnest($1::text[]) as new (external_id)
order by external_id -- one order for all writers: no deadlock
on conflict (external_id) do update set webhook_id = excluded.webhook_id
where excluded.webhook_id is not null and owner.webhook_id is distinct from excluded.webhook_id;

-- name: owner_by_external_id
-- Find an owner.
-- $1 external id
select id from owner where external_id = $1;

-- name: pairs_of_cameras
-- The owners of cameras: 16 bytes a camera, owner id and camera id, big end first. A muted camera asks nobody.
-- $1 camera ids in order, as the text of an array, which is written and read in half the time
select pairs_of_cameras($1) as pairs;

-- name: owners_by_channel
-- Which channel reaches owners: 8 bytes an owner, big end first.
-- $1 owner ids in order, as text
select channel, owner_ids from owners_by_channel($1);

-- name: owners_with_prompt
-- Who of these has a prompt of a request already: 8 bytes an owner, big end first.
-- $1 request id, $2 owner ids in order, as text
select string_agg(int8send(owner_id), ''::bytea) from prompt where request_id = $1 and owner_id = any ($2::text::bigint[]);

-- name: preferences_of_owner
-- What an owner wishes.
-- $1 owner id
select o.opted_out_at is not null as opted_out, o.week_max, o.quiet_start, o.quiet_end, o.channel, o.language,
       array(select slug from agency where id = any (o.muted_agency_ids) order by slug) as muted_agencies,
       o.muted_offences,
       array(select external_id from camera where owner_id = o.id and is_muted order by external_id) as muted_cameras
from owner o where o.id = $1;

-- name: lock_owner
-- Wait for claims that are just deciding over this owner, and hold off all further ones; no row for one who has left.
-- $1 owner id
select id from owner where id = $1 and external_id is not null for no key update;

-- name: set_preferences
-- Write down what a locked owner wishes.
-- $1 owner id, $2 since when opted out or null, $3 agencies' ids, $4 offences, $5 most a week, $6 and $7 quiet hours,
-- $8 channel, $9 language
update owner set opted_out_at = case when $2::timestamptz is null then null else coalesce(opted_out_at, $2) end,
    muted_agency_ids = $3, muted_offences = $4, week_max = $5, quiet_start = $6, quiet_end = $7, channel = $8, language = $9
where id = $1;

-- name: cameras_of_owner
-- An owner's cameras.
-- $1 owner id
select id, external_id, is_muted from camera where owner_id = $1 order by id;

-- name: mute_cameras
-- Mute these of an owner's cameras and no others.
-- $1 owner id, $2 external ids
update camera set is_muted = not is_muted
where owner_id = $1 and is_muted <> (external_id = any ($2::text[]));

-- name: leave
-- Take a locked owner's name away and ask the owner no more.
-- $1 owner id, $2 now
update owner set external_id = null, left_at = $2, opted_out_at = coalesce(opted_out_at, $2) where id = $1;

-- name: strip_owner
-- Take the cameras of an owner who has left away, end the owner's tokens and the staff's access to the owner's data.
-- $1 owner id, $2 now
select strip_owner($1, $2);

-- name: insert_webhook
-- Register an endpoint; an address known already gets the new secret.
-- $1 url, $2 secret
insert into webhook (url, secret) values ($1, $2)
on conflict (url) do update set secret = excluded.secret
returning id;
