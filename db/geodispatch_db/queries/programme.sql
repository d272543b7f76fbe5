-- name: insert_programme_version
-- From now on requests are public, or have ended.
-- $1 public or ended, $2 reason, $3 now
insert into programme_version (requests, reason, entered_at) values ($1, $2, $3);

-- name: all_programme_versions
-- How it stood with requests, oldest first.
select requests, reason, entered_at from programme_version order by id;

-- name: newest_programme_version
-- How it stands with requests, and since when.
select requests, reason, entered_at from programme_version order by id desc limit 1;
