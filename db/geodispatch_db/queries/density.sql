-- name: hold_density
-- Let nobody else draw until this session ends: two at once would spend what is there for one.
select pg_advisory_lock('density_series'::regclass::bigint);

-- name: drawn_series
-- Every series, and what was drawn of it.
select s.id, s.resolution, s.rho, count(*) as drawing_count, max(e.drawn_at) as last_drawn_at
from density_series s join density_epoch e on e.series_id = s.id
group by s.id
order by s.id;

-- name: insert_series
-- Begin a series.
-- $1 H3 resolution, $2 rho, $3 now
insert into density_series (resolution, rho, begun_at) values ($1, $2, $3) returning id;

-- name: insert_epoch
-- Begin an epoch.
-- $1 series, $2 how many-eth of it, $3 now
insert into density_epoch (resolution, series_id, number, drawn_at)
select resolution, id, $2, $3 from density_series where id = $1
returning id;

-- name: delete_ended_noise
-- Forget the noise of all series but one.
-- $1 series
delete from density_noise where series_id <> $1;

-- name: noise_of_series
-- All noise that a series has added so far.
-- $1 series
select cell, number, noise from density_noise where series_id = $1 order by cell, number;

-- name: newest_epoch
-- The epoch that previews read.
select id, resolution from density_epoch order by id desc limit 1;

-- name: density_of_cells
-- The noised counts of some cells; a cell that had no part in the drawing has no row.
-- $1 epoch, $2 cells
select cell, owner_count from density where epoch_id = $1 and cell = any($2::bigint[]);
