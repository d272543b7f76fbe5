-- name: hold_sensitive_places
-- Let nobody else change the places until this transaction ends: the newest id tells whether anything has changed, so none
-- with a lower one may become visible after it.
lock table sensitive_place in exclusive mode;

-- name: insert_sensitive_places
-- Enter the next version of these places, where it says something new, as one import; return the import's number for each.
-- $1 kinds, $2 names, $3 longitudes, $4 latitudes, degrees x 1e7: one array a column; $5 true to remove them, $6 now
insert into sensitive_place (kind, name, lon_e7, lat_e7, is_removed, entered_at, import_id)
select given.kind, given.name, given.lon_e7, given.lat_e7, $5, $6,
       (select coalesce(max(import_id), 0) + 1 from sensitive_place)
from unnest($1::place_kind[], $2::text[], $3::integer[], $4::integer[]) as given (kind, name, lon_e7, lat_e7)
left join lateral (
    select p.name, p.is_removed from sensitive_place p
    where p.kind = given.kind and p.lon_e7 = given.lon_e7 and p.lat_e7 = given.lat_e7
    order by p.id desc limit 1
) newest on true
where (newest.name, newest.is_removed) is distinct from (given.name, $5::boolean)
returning import_id;

-- name: place_imports
-- Imports of places as they are recorded, oldest first.
-- $1 this one, or null for all
select import_id, is_removed, entered_at, place_count, places_sha256 from place_import
where $1::bigint is null or import_id = $1
order by import_id;

-- name: all_sensitive_places
-- All places that there are now.
select id, kind, name, lon_e7, lat_e7
from (select distinct on (kind, lon_e7, lat_e7) * from sensitive_place order by kind, lon_e7, lat_e7, id desc) newest
where not is_removed
order by id;
