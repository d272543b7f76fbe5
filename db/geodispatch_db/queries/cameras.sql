-- name: upsert_cameras
-- Insert or move cameras, leaving untouched those that are the same; a row for each that changed.
-- A camera that gets another owner is no longer muted.
-- $1 external ids, $2 owners' external ids, $3 lon_e7, $4 lat_e7, $5 time zones: one array a column, no external id twice.
insert into camera (external_id, owner_id, lon_e7, lat_e7, zone)
select new.external_id, owner.id, new.lon_e7, new.lat_e7, new.zone
from unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::text[]) as new (external_id, owner, lon_e7, lat_e7, zone)
join owner on owner.external_id = new.owner
order by new.external_id -- one order for all writers: no deadlock
on conflict (external_id) do update
set owner_id = excluded.owner_id, lon_e7 = excluded.lon_e7, lat_e7 = excluded.lat_e7, zone = excluded.zone,
    is_muted = camera.is_muted and camera.owner_id = excluded.owner_id, changed_in = default
where (camera.owner_id, camera.lon_e7, camera.lat_e7, camera.zone)
      is distinct from (excluded.owner_id, excluded.lon_e7, excluded.lat_e7, excluded.zone)
returning id;

-- name: remove_camera
-- Take a camera's name, owner and place away; its row stays as the notice of its removal.
-- $1 external id
update camera set external_id = null, owner_id = null, lon_e7 = null, lat_e7 = null, zone = null, is_muted = false, changed_in = default
where external_id = $1 and owner_id is not null
returning id;

-- name: feed_position
-- Where a reader of this snapshot stands in the feed: all before it is visible, nothing before it can still appear.
select pg_snapshot_xmin(pg_current_snapshot())::text;

-- name: all_cameras
-- Every camera that can be matched, for a new index.
select id, lon_e7, lat_e7 from camera where owner_id is not null order by id;

-- name: changed_cameras
-- What changed from one feed position up to another; a removed camera has the largest integer for a place.
-- $1 first position, $2 position after the last
select id, coalesce(lon_e7, 2147483647), coalesce(lat_e7, 2147483647) from camera
where changed_in >= $1::text::xid8 and changed_in < $2::text::xid8
order by id;

-- name: owner_places
-- Where each owner's camera with the lowest id is, for the preview's histogram.
select distinct on (owner_id) lon_e7, lat_e7 from camera where owner_id is not null order by owner_id, id;

-- name: count_cameras
-- How many cameras can be matched.
select count(*) from camera where owner_id is not null;
