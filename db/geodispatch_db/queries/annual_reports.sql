-- name: requests_of_year
-- What an agency asked in a time.
-- $1 agency, $2 from, $3 until
select id, offence, area_m2, state, close_reason from request
where agency_id = $1 and opened_at >= $2 and opened_at < $3 order by id;

-- name: posts_of_year
-- How many posts of each kind an agency published in a time.
-- $1 agency, $2 from, $3 until
select kind::text as code, count(*) as count from post
where agency_id = $1 and published_at >= $2 and published_at < $3 group by kind order by kind;

-- name: corrections_of_year
-- How many corrections an agency published in a time.
-- $1 agency, $2 from, $3 until
select (select count(*) from post_correction c join post p on p.id = c.post_id
        where p.agency_id = $1 and c.published_at >= $2 and c.published_at < $3)
     + (select count(*) from request_correction c join request r on r.id = c.request_id
        where r.agency_id = $1 and c.published_at >= $2 and c.published_at < $3) as count;

-- name: flags_of_year
-- Readers' flags, in a time, of what an agency published, with how many have an outcome.
-- $1 agency, $2 from, $3 until
select f.reason::text as code, count(*) as count,
       count(*) filter (where exists (select from flag_outcome o where o.flag_id = f.id)) as decided_count
from flag f left join request r on r.id = f.request_id left join post p on p.id = f.post_id
where coalesce(r.agency_id, p.agency_id) = $1 and f.flagged_at >= $2 and f.flagged_at < $3
group by f.reason order by f.reason;

-- name: outcomes_of_year
-- What came of them, newest first.
-- $1 agency, $2 from, $3 until, $4 how many
select f.request_id, f.post_id, f.reason::text as reason, o.body, o.published_at
from flag f join flag_outcome o on o.flag_id = f.id
left join request r on r.id = f.request_id left join post p on p.id = f.post_id
where coalesce(r.agency_id, p.agency_id) = $1 and f.flagged_at >= $2 and f.flagged_at < $3
order by o.id desc limit $4;

-- name: audit_of_year
-- How often each event of an agency was noted in a time.
-- $1 agency, $2 from, $3 until
select event as code, count from audit_counts($1, $2, $3) order by event;

-- name: members_at
-- How many members an agency had at an instant.
-- $1 agency, $2 at
select members_at($1, $2);

-- name: years_of_agency
-- The years about which there is something to report, newest first.
-- $1 agency
select distinct year::integer as year from (
    select extract(year from opened_at) as year from request where agency_id = $1 and opened_at is not null
    union all select extract(year from published_at) from post where agency_id = $1
    union all select year from report_statement where agency_id = $1
) as found
order by year desc;
