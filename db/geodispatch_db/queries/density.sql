-- name: insert_epoch
-- Begin an epoch.
-- $1 H3 resolution, $2 epsilon, $3 now
insert into density_epoch (resolution, epsilon, drawn_at) values ($1, $2, $3) returning id;

-- name: insert_density
-- Keep the noised counts of an epoch.
-- $1 epoch, $2 cells, $3 noised counts
insert into density (epoch_id, cell, owner_count) select $1, * from unnest($2::bigint[], $3::integer[]);

-- name: newest_epoch
-- The epoch that previews read.
select id, resolution from density_epoch order by id desc limit 1;

-- name: density_of_cells
-- The noised counts of some cells; a cell without one has no row.
-- $1 epoch, $2 cells
select cell, owner_count from density where epoch_id = $1 and cell = any($2::bigint[]);
