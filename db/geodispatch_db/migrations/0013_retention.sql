-- Retention: what is over is deleted, and owners can leave. geodispatch/retention.py is the table of what is kept how long.
--
-- closing        goes on until the request's answers are forgotten: settled, counted, pruned, gone
-- shared_total   what was told of a request's shares, so that the answers need not be kept for it

-- ---- owners who leave

-- From left_at on an owner is nobody: no name, so that whoever comes back is somebody new; not asked; known by no token. What else
-- there is of the owner is deleted soon after. The row stays as a number, for a prompt may just be on its way to it.
alter table owner
    alter column external_id drop not null,
    add column left_at timestamptz,
    add constraint owner_left check (left_at is null or (external_id is null and opted_out_at is not null)),
    add constraint owner_gone check (external_id is not null or left_at is not null or (
        num_nonnulls(webhook_id, week_max, quiet_start, quiet_end, channel, language) = 0
        and cardinality(muted_agency_ids) + cardinality(muted_offences) + cardinality(asked_at) = 0
        and not has_push and not has_mail and opted_out_at is not null));
create index owner_left on owner (left_at) where left_at is not null;
create index camera_of_owner on camera (owner_id) where owner_id is not null;

-- The notice of a removed camera needs no name: followers know cameras by number.
alter table camera alter column external_id drop not null;
update camera set external_id = null where owner_id is null;
alter table camera add constraint camera_removed_name check ((external_id is null) = (owner_id is null));

-- ---- requests that are over

create table shared_total (
    request_id  bigint constraint shared_total_pkey primary key constraint shared_total_request_fkey references request,
    at_least    integer not null,
    constraint shared_total_counted check (at_least >= 0)
);
create trigger shared_total_keep before update or delete or truncate on shared_total
    for each statement execute function public_keep();

alter table closing
    add column is_counted boolean not null default false,
    add column is_pruned boolean not null default false,
    add constraint closing_order check (is_settled or not is_pruned);
insert into closing (request_id, closed_at, is_settled, is_pruned)
select id, closed_at, true, true from request r
where state = 'closed' and not exists (select from closing c where c.request_id = r.id);
create index closing_uncounted on closing (closed_at) where not is_counted;
create index closing_over on closing (closed_at) where is_settled;

-- ---- what else has its time

alter table breaker add column failed_at timestamptz not null default now();
alter table breaker alter column failed_at drop default;
create index device_seen on device (seen_at);
create index invitation_expires on invitation (expires_at);
create index access_key_revoked on access_key (revoked_at) where revoked_at is not null;
