-- name: insert_audit
-- Write down what was done, or refused.
-- $1 when, $2 event, $3 actor, $4 account id, $5 agency id, $6 subject, $7 network
insert into audit (at, event, actor, account_id, agency_id, subject, network) values ($1, $2, $3, $4, $5, $6, $7::text::cidr);

-- name: page_of_audit
-- What was done, newest first.
-- $1 agency id, or null for all; $2 before this id, or null; $3 how many
select id, at, event, actor, agency_id, subject, network::text as network from audit
where ($1::bigint is null or agency_id = $1) and ($2::bigint is null or id < $2)
order by id desc limit $3;
