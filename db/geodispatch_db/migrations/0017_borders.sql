-- Where the law holds, who may ask there, and near which places it takes two reviewers are leaves of the record too: whoever
-- could change a border unseen would change whom the law protects. An area and an assignment are read by everybody; of sensitive
-- places there is one leaf an import, and the operator's check sees them.

create trigger jurisdiction_keep_all before truncate on jurisdiction
    for each statement execute function jurisdiction_keep();

-- An assignment ends, once; nothing else of it changes.
create function agency_jurisdiction_keep() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if old.until_at is null and new.until_at is not null and to_jsonb(new) - 'until_at' = to_jsonb(old) - 'until_at' then
            return new;
        end if;
    end if;
    raise exception 'an assignment ends, and never changes' using errcode = 'restrict_violation';
end $$;
create trigger agency_jurisdiction_keep before update or delete on agency_jurisdiction
    for each row execute function agency_jurisdiction_keep();
create trigger agency_jurisdiction_keep_all before truncate on agency_jurisdiction
    for each statement execute function agency_jurisdiction_keep();

-- A border can be longer than a leaf, which has its hash: of the very bytes by which everybody reads it.
create function boundary_sha256(area jurisdiction) returns text language sql stable
    return encode(sha256(convert_to(area.boundary::text, 'UTF8')), 'hex');

-- Which import entered, or took off, a place. Of those before, an instant tells.
alter table sensitive_place add column import_id bigint;
alter table sensitive_place disable trigger sensitive_place_keep;
update sensitive_place p set import_id = numbered.import_id
from (select id, dense_rank() over (order by entered_at, is_removed) as import_id from sensitive_place) numbered
where numbered.id = p.id;
alter table sensitive_place enable trigger sensitive_place_keep;
alter table sensitive_place alter column import_id set not null;
create index sensitive_place_import on sensitive_place (import_id);

create view place_import with (security_invoker = true) as
    select import_id, is_removed, entered_at, count(*) as place_count,
           encode(sha256(convert_to(
               jsonb_agg(jsonb_build_array(id, kind, name, lon_e7, lat_e7) order by id)::text, 'UTF8')), 'hex') as places_sha256
    from sensitive_place
    group by import_id, is_removed, entered_at;
grant select on place_import to geodispatch_law;

-- What was there before comes now, in the order in which it happened; the same members and values as geodispatch/record.py writes.
create function record_moment(at timestamptz) returns text language sql
    return regexp_replace(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '\.0{6}$', '') || 'Z';

with assignment as (
    select a.id, a.from_at, a.until_at, jsonb_build_object(
        'subject', 'assignment/' || a.id, 'agency', g.slug, 'jurisdiction', j.slug) as named
    from agency_jurisdiction a join agency g on g.id = a.agency_id join jurisdiction j on j.id = a.jurisdiction_id
), fact (at, place, id, content) as (
    select j.entered_at, 0, j.id, jsonb_build_object(
        'kind', 'jurisdiction', 'subject', 'jurisdiction/' || j.slug, 'name', j.name,
        'entered_at', record_moment(j.entered_at), 'boundary_sha256', boundary_sha256(j))
    from jurisdiction j
    union all
    select from_at, 1, id, named || jsonb_build_object('kind', 'assignment', 'from_at', record_moment(from_at)) from assignment
    union all
    select until_at, 2, id, named || jsonb_build_object('kind', 'assignment_end', 'until_at', record_moment(until_at))
    from assignment where until_at is not null
    union all
    select entered_at, 3, import_id, jsonb_build_object(
        'kind', 'place_import', 'subject', 'place_import/' || import_id, 'is_removed', is_removed,
        'entered_at', record_moment(entered_at), 'place_count', place_count, 'places_sha256', places_sha256)
    from place_import
)
select record_append(coalesce(array_agg(content::text order by at, place, id), '{}')) from fact;

drop function record_moment;
