-- The rules that bind requests: their versions, where an agency may ask, and what admitted a request.
--
-- rule_version ── request
-- agency ── agency_jurisdiction ── jurisdiction

-- The first version is geodispatch.rules.limits.RuleDocument's defaults; a test compares them. Each later one is the one
-- before it with one more tightening, or an earlier end of one; an instant inside a document says from when it holds.
create table rule_version (
    id          bigint constraint rule_version_pkey primary key,
    document    jsonb not null,
    reason      text not null,
    entered_at  timestamptz not null,
    constraint rule_version_positive check (id > 0),
    constraint rule_version_reason_length check (length(reason) between 3 and 500)
);
insert into rule_version (id, document, reason, entered_at) values (1, '{
    "limits": {
        "area_min_m2": 64749.7027584, "area_max_m2": 1294994.055168, "vertices_max": 100, "compactness_min": 0.2,
        "window_min_s": 900, "window_max_s": 43200, "window_age_max_days": 45, "case_requests_max": 2,
        "overlap_days": 30, "overlap_min_m2": 64749.7027584, "offences_refused": []
    },
    "tightenings": []
}', 'The defaults.', '2019-01-01T00:00:00Z');

create function rule_version_keep() returns trigger language plpgsql as $$
begin
    raise exception 'versions of the rules are only ever added to' using errcode = 'restrict_violation';
end $$;
create trigger rule_version_keep before update or delete on rule_version
    for each row execute function rule_version_keep();
create trigger rule_version_keep_all before truncate on rule_version
    for each statement execute function rule_version_keep();

-- A boundary never changes, or nobody could tell later why a fence was admitted: a corrected one is a new jurisdiction,
-- which takes the place of the old one in agency_jurisdiction.
create table jurisdiction (
    id          bigint generated always as identity constraint jurisdiction_pkey primary key,
    slug        text not null constraint jurisdiction_slug_key unique,
    name        text not null,
    boundary    jsonb not null,
    entered_at  timestamptz not null,
    constraint jurisdiction_slug_form check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) <= 64),
    constraint jurisdiction_name_length check (length(name) between 1 and 200)
);
create function jurisdiction_keep() returns trigger language plpgsql as $$
begin
    raise exception 'a jurisdiction never changes' using errcode = 'restrict_violation';
end $$;
create trigger jurisdiction_keep before update or delete on jurisdiction
    for each row execute function jurisdiction_keep();

create table agency_jurisdiction (
    id              bigint generated always as identity constraint agency_jurisdiction_pkey primary key,
    agency_id       bigint not null constraint agency_jurisdiction_agency_fkey references agency,
    jurisdiction_id bigint not null constraint agency_jurisdiction_jurisdiction_fkey references jurisdiction,
    from_at         timestamptz not null,
    until_at        timestamptz,
    constraint agency_jurisdiction_order check (until_at >= from_at)
);
create unique index agency_jurisdiction_current on agency_jurisdiction (agency_id, jurisdiction_id) where until_at is null;
create index agency_jurisdiction_agency on agency_jurisdiction (agency_id);

-- What was published before there were versions was admitted by the limits that are the first one's.
alter table request add column rule_version bigint not null default 1
    constraint request_rule_version_fkey references rule_version;
alter table request alter column rule_version drop default;

-- A case number however it is spelt: "2026-4711", "2026 4711" and "2026/4711" are one case.
create function case_key(case_number text) returns text language sql immutable strict parallel safe
    return lower(regexp_replace(case_number, '[^a-zA-Z0-9\u0080-\uffff]', '', 'g'));
create index request_of_case on request (agency_id, case_key(case_number));
create index request_of_agency on request (agency_id, id);
