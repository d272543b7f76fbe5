-- name: lock_rule_versions
-- Let nobody else enter a version until this transaction ends; reading goes on.
lock table rule_version in share row exclusive mode;

-- name: newest_rule_version
-- The version in force.
select id, document, reason, entered_at from rule_version order by id desc limit 1;

-- name: rule_version_by_id
-- One version.
-- $1 id
select id, document, reason, entered_at from rule_version where id = $1;

-- name: all_rule_versions
-- Every version there was, oldest first.
select id, document, reason, entered_at from rule_version order by id;

-- name: insert_rule_version
-- Enter the next version.
-- $1 id, $2 document, $3 reason, $4 now
insert into rule_version (id, document, reason, entered_at) values ($1, $2, $3, $4);
