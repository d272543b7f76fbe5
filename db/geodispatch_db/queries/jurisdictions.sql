-- name: insert_jurisdiction
-- Enter an area and return it as it is recorded; no row where the slug is taken.
-- $1 slug, $2 name, $3 boundary, $4 now
insert into jurisdiction (slug, name, boundary, entered_at) values ($1, $2, $3, $4)
on conflict (slug) do nothing
returning slug, name, entered_at, boundary_sha256(jurisdiction) as boundary_sha256;

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

-- name: recorded_jurisdictions
-- Every area as it is recorded, oldest first.
select slug, name, entered_at, boundary_sha256(j) as boundary_sha256 from jurisdiction j order by id;

-- name: jurisdictions_page
-- Areas without their boundaries, by their slugs.
-- $1 after this slug, or null; $2 how many
select id, slug, name, entered_at from jurisdiction where $1::text is null or slug > $1 order by slug limit $2;

-- name: boundary_of_jurisdiction
-- The text of which the record has the hash.
-- $1 slug
select boundary::text as boundary from jurisdiction where slug = $1;

-- name: assignments
-- Every assignment there was, oldest first, with the slugs of its agency and its area.
-- $1 only of these areas (ids), or null
select a.id, a.jurisdiction_id, g.slug as agency, j.slug as jurisdiction, a.from_at, a.until_at
from agency_jurisdiction a join agency g on g.id = a.agency_id join jurisdiction j on j.id = a.jurisdiction_id
where $1::bigint[] is null or a.jurisdiction_id = any($1)
order by a.id;

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
