-- name: insert_ordinance_version
-- Enter the next version of an ordinance, or its first.
-- $1 slug, $2 jurisdiction, $3 rule, $4 reference, $5 from, $6 until, or null, $7 limits, or null, $8 reason, $9 now
insert into ordinance_version (slug, jurisdiction_id, rule, reference, from_at, until_at, limits, reason, entered_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
returning id;

-- name: ordinances_in_force
-- The newest version of every ordinance whose end is not over, with its area. One whose end is over still counts where it
-- authorised something: without it, nothing there would need authorisation any more.
-- $1 now
select v.*, j.slug as jurisdiction, j.name as jurisdiction_name, j.boundary
from (select distinct on (slug) * from ordinance_version order by slug, id desc) v
join jurisdiction j on j.id = v.jurisdiction_id
where v.until_at is null or v.until_at > $1 or v.rule = 'authorisation'
order by v.slug;

-- name: ordinances_in_words
-- The same as `ordinances_in_force` without the areas' borders.
-- $1 now
select v.*, j.slug as jurisdiction, j.name as jurisdiction_name
from (select distinct on (slug) * from ordinance_version order by slug, id desc) v
join jurisdiction j on j.id = v.jurisdiction_id
where v.until_at is null or v.until_at > $1 or v.rule = 'authorisation'
order by v.slug;

-- name: ordinance_by_slug
-- The newest version of an ordinance.
-- $1 slug
select v.*, j.slug as jurisdiction from ordinance_version v join jurisdiction j on j.id = v.jurisdiction_id
where v.slug = $1 order by v.id desc limit 1;

-- name: all_ordinance_versions
-- Every version of every ordinance, oldest first.
select v.*, j.slug as jurisdiction from ordinance_version v join jurisdiction j on j.id = v.jurisdiction_id order by v.id;
