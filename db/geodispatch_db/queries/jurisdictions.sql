-- name: insert_jurisdiction
-- Enter an area; no row where the slug is taken.
-- $1 slug, $2 name, $3 boundary, $4 now
insert into jurisdiction (slug, name, boundary, entered_at) values ($1, $2, $3, $4)
on conflict (slug) do nothing
returning id;

-- name: jurisdictions_by_slugs
-- These areas.
-- $1 slugs
select id, slug, name, boundary from jurisdiction where slug = any($1::text[]) order by slug;

-- name: jurisdictions_of_agency
-- The areas in which an agency may ask now.
-- $1 agency
select j.id, j.slug, j.name, j.boundary
from agency_jurisdiction a join jurisdiction j on j.id = a.jurisdiction_id
where a.agency_id = $1 and a.until_at is null
order by j.slug;

-- name: boundaries_in_use
-- The areas in which any agency may ask now.
select j.boundary from jurisdiction j
where exists (select from agency_jurisdiction a where a.jurisdiction_id = j.id and a.until_at is null)
order by j.id;

-- name: jurisdiction_names_of_agency
-- The names of the areas in which an agency may ask now; one row of nulls where it may nowhere, none without the agency.
-- $1 slug of the agency
select g.name as agency_name, j.slug, j.name
from agency g
     left join (agency_jurisdiction a join jurisdiction j on j.id = a.jurisdiction_id)
         on a.agency_id = g.id and a.until_at is null
where g.slug = $1
order by j.slug;

-- name: all_jurisdictions
-- Every area without its boundary, and the agencies that may ask there now.
select j.slug, j.name, j.entered_at, array_remove(array_agg(g.slug order by g.slug), null) as agencies
from jurisdiction j
     left join agency_jurisdiction a on a.jurisdiction_id = j.id and a.until_at is null
     left join agency g on g.id = a.agency_id
group by j.id
order by j.slug;

-- name: insert_agency_jurisdiction
-- From now on an agency may ask in an area; no row where it may already.
-- $1 agency, $2 jurisdiction, $3 now
insert into agency_jurisdiction (agency_id, jurisdiction_id, from_at) values ($1, $2, $3)
on conflict do nothing
returning id;

-- name: end_agency_jurisdiction
-- From now on an agency may no longer ask in an area; no row where it may not.
-- $1 agency, $2 jurisdiction, $3 now
update agency_jurisdiction set until_at = $3
where agency_id = $1 and jurisdiction_id = $2 and until_at is null
returning id;
