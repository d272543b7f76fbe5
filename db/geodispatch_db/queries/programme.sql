-- name: insert_programme_version
-- From now on it stands otherwise with requests, or with reviews; what is not said stays.
-- $1 requests: public or ended, or null; $2 review: sensitive or all, or null; $3 reason, $4 now
insert into programme_version (requests, review, reason, entered_at)
select coalesce($1, requests), coalesce($2, review), $3, $4 from programme_version order by id desc limit 1;

-- name: all_programme_versions
-- How it stood, oldest first.
select requests, review, reason, entered_at from programme_version order by id;

-- name: newest_programme_version
-- How it stands, and since when.
select requests, review, reason, entered_at from programme_version order by id desc limit 1;
