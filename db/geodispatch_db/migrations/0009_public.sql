-- The public side: posts, the feed, an agency's documents and disclosures, readers' flags.
--
-- agency ─┬─ post ── post_correction
--         ├─ document ── document_version
--         ├─ donation, report_statement
--         └─ (request) ┬─ feed_item            requests and posts in the order in which they became public
--                      └─ flag ─┬─ flag_contact
--                               └─ flag_outcome
--
-- What is public is only ever added to: no table here but flag_contact lets a row be changed or taken away.

alter type key_scope add value 'post';

create type post_kind as enum ('safety', 'tip', 'event');
create type document_kind as enum ('ordinance', 'policy');
create type flag_reason as enum ('wrong_facts', 'personal_data', 'pressure', 'bias', 'not_allowed', 'other');
create type report_section as enum ('costs', 'effectiveness', 'outside_sharing', 'internal_audits', 'breaches',
                                    'records_requests', 'planned_changes');

create function public_keep() returns trigger language plpgsql as $$
begin
    raise exception '% is public and only ever added to', tg_table_name using errcode = 'restrict_violation';
end $$;

-- ---- posts: they ask for nothing and match nobody

create table post (
    id              bigint generated always as identity constraint post_pkey primary key,
    agency_id       bigint not null constraint post_agency_fkey references agency,
    member_id       bigint not null,
    idempotency_key text not null,
    body_sha256     bytea not null,
    kind            post_kind not null,
    title           text not null,
    body            text not null,
    area            jsonb,
    starts_at       timestamptz,
    ends_at         timestamptz,
    published_at    timestamptz not null,
    constraint post_idempotency_key unique (agency_id, idempotency_key),
    constraint post_member_of_agency foreign key (agency_id, member_id) references member (agency_id, id),
    constraint post_event check ((kind = 'event') = (starts_at is not null and ends_at is not null)
                                 and num_nonnulls(starts_at, ends_at) in (0, 2)),
    constraint post_event_order check (starts_at < ends_at)
);
create table post_correction (
    id              bigint generated always as identity constraint post_correction_pkey primary key,
    post_id         bigint not null constraint post_correction_post_fkey references post,
    member_id       bigint not null constraint post_correction_member_fkey references member,
    body            text not null,
    published_at    timestamptz not null
);
create index post_correction_post on post_correction (post_id, id);

-- ---- the feed

-- Great-circle distance on a sphere of the Earth's mean radius.
create function distance_m(lon_a double precision, lat_a double precision, lon_b double precision, lat_b double precision)
returns double precision language sql immutable strict parallel safe
    return 2 * 6371008.8 * asin(sqrt(least(1.0,
        sind((lat_b - lat_a) / 2) ^ 2 + cosd(lat_a) * cosd(lat_b) * sind((lon_b - lon_a) / 2) ^ 2)));

-- The box around the area of a request or a post, in degrees. Of one that crosses the antimeridian, the east is beyond 180;
-- what has no corners has no box.
create function box_around(area jsonb) returns box language sql immutable strict parallel safe
begin atomic
    with position as (
        select (at ->> 0)::double precision as lon, (at ->> 1)::double precision as lat
        from jsonb_path_query(area, 'strict $.coordinates.** ? (@.type() == "array" && @[0].type() == "number")', '{}', true)
            as found (at)
    ), extent as (
        select max(lon) - min(lon) > 180 as is_cut from position
    )
    select box(point(min(lon), min(lat)), point(max(lon), max(lat)))
    from (select case when is_cut and lon < 0 then lon + 360 else lon end as lon, lat from position, extent) as turned;
end;

-- From a place to the nearest point of such a box, near enough: boxes are small, or the place is inside. The longitude is
-- first turned to the side of the Earth on which the box has its middle.
create function box_distance_m(area box, lon double precision, lat double precision)
returns double precision language sql immutable strict parallel safe
begin atomic
    select distance_m(turned, lat, greatest((area[1])[0], least((area[0])[0], turned)),
                      greatest((area[1])[1], least((area[0])[1], lat)))
    from (select lon + 360 * round((((area[0])[0] + (area[1])[0]) / 2 - lon) / 360) as turned) as place;
end;

-- Everything that became public, in that order: the id is the feed's cursor. A post without an area is for all of its
-- agency's, and near nowhere. Triggers write it, so that nothing can be published that the feed does not show.
create table feed_item (
    id          bigint generated always as identity constraint feed_item_pkey primary key,
    agency_id   bigint not null constraint feed_item_agency_fkey references agency,
    request_id  bigint constraint feed_item_request_key unique constraint feed_item_request_fkey references request,
    post_id     bigint constraint feed_item_post_key unique constraint feed_item_post_fkey references post,
    kind        text not null,
    offence     text,
    around      box,
    constraint feed_item_one_thing check (num_nonnulls(request_id, post_id) = 1),
    constraint feed_item_kind check ((kind = 'request') = (request_id is not null))
);
create index feed_item_agency on feed_item (agency_id, id);
create index feed_item_offence on feed_item (offence, id);
create index feed_item_around on feed_item using gist (around);

create function feed_request() returns trigger language plpgsql as $$
begin
    insert into feed_item (agency_id, request_id, kind, offence, around)
    values (new.agency_id, new.id, 'request', new.offence, box_around(new.fence));
    return null;
end $$;
create trigger request_feed_new after insert on request
    for each row when (new.opened_at is not null) execute function feed_request();
create trigger request_feed_opened after update on request
    for each row when (old.opened_at is null and new.opened_at is not null) execute function feed_request();
insert into feed_item (agency_id, request_id, kind, offence, around)
select agency_id, id, 'request', offence, box_around(fence) from request where opened_at is not null order by opened_at, id;

create function feed_post() returns trigger language plpgsql as $$
begin
    insert into feed_item (agency_id, post_id, kind, around) values (new.agency_id, new.id, new.kind::text, box_around(new.area));
    return null;
end $$;
create trigger post_feed after insert on post for each row execute function feed_post();

-- ---- what an agency publishes about itself

create table document (
    id              bigint generated always as identity constraint document_pkey primary key,
    agency_id       bigint not null constraint document_agency_fkey references agency,
    kind            document_kind not null
);
create index document_agency on document (agency_id, id);
create table document_version (
    document_id     bigint not null constraint document_version_document_fkey references document,
    number          integer not null,
    member_id       bigint not null constraint document_version_member_fkey references member,
    title           text not null,
    link            text,
    body            text,
    in_force_on     date not null,
    ends_on         date,
    published_at    timestamptz not null,
    constraint document_version_pkey primary key (document_id, number),
    constraint document_version_says_something check (num_nonnulls(link, body) > 0),
    constraint document_version_link_form check (link ~ '^https?://'),
    constraint document_version_order check (in_force_on <= ends_on)
);

create table donation (
    id              bigint generated always as identity constraint donation_pkey primary key,
    agency_id       bigint not null constraint donation_agency_fkey references agency,
    member_id       bigint not null constraint donation_member_fkey references member,
    donor           text not null,
    device_count    integer not null,
    description     text not null,
    received_on     date not null,
    published_at    timestamptz not null,
    replaces        bigint constraint donation_replaces_key unique,
    constraint donation_agency_key unique (agency_id, id),
    constraint donation_replaces_own foreign key (agency_id, replaces) references donation (agency_id, id),
    constraint donation_replaces_earlier check (replaces < id),
    constraint donation_counted check (device_count >= 0)
);

create table report_statement (
    id              bigint generated always as identity constraint report_statement_pkey primary key,
    agency_id       bigint not null constraint report_statement_agency_fkey references agency,
    member_id       bigint not null constraint report_statement_member_fkey references member,
    year            integer not null,
    section         report_section not null,
    body            text not null,
    published_at    timestamptz not null
);
create index report_statement_year on report_statement (agency_id, year, section, id);

-- ---- flags

-- `detail` and the contact are for the operator's eyes; a reader may ask for the contact to be forgotten.
create table flag (
    id              bigint generated always as identity constraint flag_pkey primary key,
    request_id      bigint constraint flag_request_fkey references request,
    post_id         bigint constraint flag_post_fkey references post,
    reason          flag_reason not null,
    detail          text not null,
    flagged_at      timestamptz not null,
    constraint flag_one_thing check (num_nonnulls(request_id, post_id) = 1)
);
create index flag_request on flag (request_id, id) where request_id is not null;
create index flag_post on flag (post_id, id) where post_id is not null;
create table flag_contact (
    flag_id         bigint constraint flag_contact_pkey primary key constraint flag_contact_flag_fkey references flag,
    contact         text not null
);
create table flag_outcome (
    id              bigint generated always as identity constraint flag_outcome_pkey primary key,
    flag_id         bigint not null constraint flag_outcome_flag_fkey references flag,
    account_id      bigint constraint flag_outcome_account_fkey references account,
    body            text not null,
    published_at    timestamptz not null
);
create index flag_outcome_flag on flag_outcome (flag_id, id);

-- ---- for good

do $$
declare
    kept text;
begin
    foreach kept in array '{post,post_correction,feed_item,document,document_version,donation,report_statement,flag,flag_outcome}'::text[]
    loop
        execute format('create trigger %I before update or delete on %I for each row execute function public_keep()', kept || '_keep', kept);
        execute format('create trigger %I before truncate on %I for each statement execute function public_keep()', kept || '_keep_all', kept);
    end loop;
end $$;
