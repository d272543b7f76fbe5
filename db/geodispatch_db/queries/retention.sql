-- name: take_turn
-- Whether nobody else is deleting; nobody will be until this transaction ends.
select pg_try_advisory_xact_lock(hashtext('geodispatch.retention')) as is_ours;

-- name: forget_owners
-- Forget the next owners who left: all there is of them, but that there was such a number. What is locked in more than one row is
-- locked in the order of requests and owners, as settling does.
-- $1 left before, $2 how many
with gone as materialized (
    select id from owner where left_at < $1 order by left_at limit $2 for update skip locked
), asked as materialized (
    select p.request_id, p.owner_id from gone join prompt p on p.owner_id = gone.id and p.due_at is null
    order by p.request_id, p.owner_id for update of p
), answers as (
    delete from answer a using asked where a.request_id = asked.request_id and a.owner_id = asked.owner_id
), tries as (
    delete from lost_attempt t using asked where t.request_id = asked.request_id and t.owner_id = asked.owner_id
), letters as (
    delete from dead_letter d using asked where d.request_id = asked.request_id and d.owner_id = asked.owner_id
), prompts as (
    delete from prompt p using asked where p.request_id = asked.request_id and p.owner_id = asked.owner_id
), cameras as (
    update camera c set external_id = null, owner_id = null, lon_e7 = null, lat_e7 = null, zone = null, is_muted = false,
        changed_in = default
    from gone where c.owner_id = gone.id
), addresses as (
    delete from mail_address m using gone where m.owner_id = gone.id
), browsers as (
    delete from push_subscription s using gone where s.owner_id = gone.id
), tokens as (
    delete from access_key k using gone where k.owner_id = gone.id
), shells as (
    update owner o set left_at = null, webhook_id = null, week_max = null, quiet_start = null, quiet_end = null,
        channel = null, language = null, muted_agency_ids = '{}', muted_offences = '{}', asked_at = '{}',
        has_push = false, has_mail = false
    from gone where o.id = gone.id
    returning 1
)
select count(*) from shells;

-- name: forget_sessions
-- Forget the next sessions that began long ago.
-- $1 before, $2 how many
with gone as (
    delete from session where hash in (select hash from session where created_at < $1 order by created_at limit $2)
    returning 1)
select count(*) from gone;

-- name: forget_devices
-- Forget the next browsers that nobody signed in from for long.
-- $1 before, $2 how many
with gone as (
    delete from device where hash in (select hash from device where seen_at < $1 order by seen_at limit $2)
    returning 1)
select count(*) from gone;

-- name: forget_brakes
-- Forget the next failures of long ago; a lock that still holds stays.
-- $1 before, $2 how many
with gone as (
    delete from brake where subject in (
        select subject from brake where since < $1 and (locked_until is null or locked_until < $1) order by since limit $2)
    returning 1)
select count(*) from gone;

-- name: forget_invitations
-- Forget the next invitations that lapsed long ago, accepted or not.
-- $1 before, $2 how many
with gone as (
    delete from invitation where id in (select id from invitation where expires_at < $1 order by expires_at limit $2)
    returning 1)
select count(*) from gone;

-- name: forget_ended_keys
-- Forget the next keys that ended long ago.
-- $1 before, $2 how many
with gone as (
    delete from access_key where id in (
        select id from access_key where revoked_at < $1 order by revoked_at limit $2)
    returning 1)
select count(*) from gone;

-- name: forget_agency_hours
-- Forget the next counts that no quota looks at any more.
-- $1 before, $2 how many
with gone as (
    delete from agency_hour where (agency_id, hour) in (
        select agency_id, hour from agency_hour where hour < $1 order by hour limit $2)
    returning 1)
select count(*) from gone;

-- name: forget_breakers
-- Forget the next endpoints that last failed long ago, but for those that are still left alone.
-- $1 before, $2 how many
with gone as (
    delete from breaker where (channel, endpoint) in (
        select channel, endpoint from breaker
        where failed_at < $1 and (open_until is null or open_until < $1) order by failed_at limit $2)
    returning 1)
select count(*) from gone;

-- name: forget_noised_counts
-- Forget the next noised counts of epochs that others followed long ago.
-- $1 followed before, $2 how many
with over as materialized (
    select e.id from density_epoch e
    where exists (select from density_epoch f where f.id > e.id and f.drawn_at < $1)
), gone as (
    delete from density d using (
        select epoch_id, cell from density where epoch_id in (select id from over) order by epoch_id, cell limit $2) as next
    where d.epoch_id = next.epoch_id and d.cell = next.cell
    returning 1)
select count(*) from gone;

-- name: forget_reader_contacts
-- Forget the next addresses that readers left with their flags.
-- $1 flagged before, $2 how many
with gone as (
    delete from flag_contact where flag_id in (
        select c.flag_id from flag_contact c join flag f on f.id = c.flag_id
        where f.flagged_at < $1 order by c.flag_id limit $2)
    returning 1)
select count(*) from gone;
