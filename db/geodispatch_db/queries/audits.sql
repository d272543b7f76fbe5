-- name: insert_audit
-- Write down what was done, or refused.
-- $1 when, $2 event, $3 actor, $4 account id, $5 agency id, $6 subject, $7 network
insert into audit (at, event, actor, account_id, agency_id, subject, network) values ($1, $2, $3, $4, $5, $6, $7::text::cidr);

-- name: page_of_audit
-- What was done, newest first.
-- $1 before this id, or null; $2 how many
select id, at, event, actor, agency_id, subject, network::text as network from audit
where $1::bigint is null or id < $1
order by id desc limit $2;

-- name: page_of_agency_audit
-- What was done about an agency, newest first. Its rows are numbered by themselves: gaps would tell that something happened
-- elsewhere.
-- $1 agency id, $2 before this number, or null; $3 how many
select id, at, event, actor, agency_id, subject, network
from (select row_number() over (order by id) as id, at, event, actor, agency_id, subject, network::text as network
      from audit where agency_id = $1) as numbered
where $2::bigint is null or id < $2
order by id desc limit $3;
