-- name: insert_document
-- Begin a document of an agency.
-- $1 agency, $2 kind
insert into document (agency_id, kind) values ($1, $2) returning id;

-- name: lock_document
-- Hold a document of an agency, so that its versions are numbered one after the other.
-- $1 document, $2 agency
select id from document where id = $1 and agency_id = $2 for update;

-- name: insert_version
-- Publish the next version of a document.
-- $1 document, $2 member, $3 title, $4 link, $5 body, $6 in force on, $7 ends on, $8 now
insert into document_version (document_id, number, member_id, title, link, body, in_force_on, ends_on, published_at)
select $1, 1 + count(*), $2, $3, $4, $5, $6, $7, $8 from document_version where document_id = $1
returning number;

-- name: documents_of_agency
-- All versions of an agency's documents, newest first in each; without their texts.
-- $1 agency
select d.id, d.kind, v.number, v.title, v.link, v.in_force_on, v.ends_on, v.published_at
from document d join document_version v on v.document_id = d.id
where d.agency_id = $1 order by d.id, v.number desc;

-- name: document_by_id
-- All versions of a document, newest first, with its agency.
-- $1 document
select d.id, d.kind, v.number, v.title, v.link, v.body, v.in_force_on, v.ends_on, v.published_at,
       a.slug as agency_slug, a.name as agency_name
from document d join document_version v on v.document_id = d.id join agency a on a.id = d.agency_id
where d.id = $1 order by v.number desc;

-- name: all_versions
-- The versions of all agencies' documents, or one of them, in the order of their numbers.
-- $1 document, or null; $2 number, or null
select v.document_id, d.kind, v.number, v.title, v.link, v.body, v.in_force_on, v.ends_on, v.published_at,
       a.slug as agency_slug
from document_version v join document d on d.id = v.document_id join agency a on a.id = d.agency_id
where ($1::bigint is null or v.document_id = $1) and ($2::integer is null or v.number = $2)
order by v.document_id, v.number;

-- name: insert_donation
-- Disclose devices that an agency was given; no row where what it replaces is no donation of the agency, or replaced already.
-- $1 agency, $2 member, $3 donor, $4 device count, $5 description, $6 received on, $7 now, $8 replaces, or null
insert into donation (agency_id, member_id, donor, device_count, description, received_on, published_at, replaces)
select $1, $2, $3, $4, $5, $6, $7, $8
where $8::bigint is null or exists (select from donation where id = $8 and agency_id = $1)
on conflict on constraint donation_replaces_key do nothing
returning id;

-- name: donations_of_agency
-- What an agency was given, newest first, with what replaced it.
-- $1 agency
select d.id, d.donor, d.device_count, d.description, d.received_on, d.published_at, r.id as replaced_by
from donation d left join donation r on r.replaces = d.id
where d.agency_id = $1 order by d.id desc;

-- name: all_donations
-- What all agencies were given, or one donation, oldest first.
-- $1 donation, or null
select d.id, d.donor, d.device_count, d.description, d.received_on, d.published_at, d.replaces, a.slug as agency_slug
from donation d join agency a on a.id = d.agency_id
where $1::bigint is null or d.id = $1
order by d.id;

-- name: insert_statement
-- Publish what an agency says in a section of a year's report.
-- $1 agency, $2 member, $3 year, $4 section, $5 body, $6 now
insert into report_statement (agency_id, member_id, year, section, body, published_at) values ($1, $2, $3, $4, $5, $6)
returning id;

-- name: statements_of_year
-- What an agency said about a year, newest first.
-- $1 agency, $2 year
select id, section, body, published_at from report_statement where agency_id = $1 and year = $2 order by id desc;

-- name: all_statements
-- What all agencies said about any year, or one statement, oldest first.
-- $1 statement, or null
select s.id, s.year, s.section, s.body, s.published_at, a.slug as agency_slug
from report_statement s join agency a on a.id = s.agency_id
where $1::bigint is null or s.id = $1
order by s.id;
