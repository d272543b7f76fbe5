-- A prompt goes by the camera that it was queued for while that asks for its owner, and then by any other of the owner's inside the
-- same fence. Which one, is looked up when it matters: when it is claimed, and when an owner's wishes change.

-- The lowest of an owner's cameras that is not muted and lies inside a request's fence, of which the owner has a prompt; null for
-- none. It tells whoever sends no place, and of no fence but those that a prompt was for. As the index has it: coordinates are rounded
-- to degrees x 1e7, all after that is exact, and a camera on the border is inside. A fence from one end of the map to the other lies
-- across the antimeridian, since none is wider than a town: its west is counted on.
create function other_camera(request_id bigint, owner_id bigint) returns bigint language sql stable security definer
set search_path = public, pg_temp as $$
    with corner as materialized (
        select ring.number as ring, corner.number, round((corner.at ->> 0)::float8 * 1e7)::numeric as x,
               round((corner.at ->> 1)::float8 * 1e7)::numeric as y
        from prompt p join request r on r.id = p.request_id,
             jsonb_array_elements(r.fence -> 'coordinates') with ordinality as ring (corners, number),
             jsonb_array_elements(ring.corners) with ordinality as corner (at, number)
        where p.request_id = $1 and p.owner_id = $2
    ), turned as materialized (
        select ring, number, y, x + case when x < 0 and (select max(x) - min(x) > 1.8e9 from corner) then 3.6e9 else 0 end as x
        from corner
    ), side as materialized (
        select x as x1, y as y1, lead(x) over along as x2, lead(y) over along as y2, (select max(x) > 1.8e9 from turned) as is_turned
        from turned window along as (partition by ring order by number)
    )
    select min(c.id) from camera c where c.owner_id = $2 and not c.is_muted and (
        select bool_or(turn = 0 and x between least(x1, x2) and greatest(x1, x2) and y between least(y1, y2) and greatest(y1, y2))
               or count(*) filter (where (y1 > y) <> (y2 > y) and (turn > 0) = (y2 > y1)) % 2 = 1
        from (select *, (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1) as turn
              from (select *, c.lon_e7 + case when c.lon_e7 < 0 and is_turned then 3.6e9 else 0 end as x, c.lat_e7::numeric as y
                    from side where x2 is not null) as seen) as judged)
$$;
revoke execute on function other_camera(bigint, bigint) from public;
grant execute on function other_camera(bigint, bigint) to geodispatch_sender;

-- What it took the place of: owners' places are of no use to whoever sends.
drop function places_of_caller();
