-- name: upsert_owners
-- Make owners known, and reach them through a webhook where one is named.
-- $1 external ids, each once; $2 webhook id or null
insert into owner (external_id, webhook_id)
select external_id, $2::bigint from unnest($1::text[]) as new (external_id)
order by external_id -- one order for all writers: no deadlock
on conflict (external_id) do update set webhook_id = excluded.webhook_id
where excluded.webhook_id is not null and owner.webhook_id is distinct from excluded.webhook_id;

-- name: owner_by_external_id
-- Find an owner.
-- $1 external id
select id from owner where external_id = $1;

-- name: owners_of_cameras
-- The owners to ask, each once.
-- $1 camera ids
select distinct owner_id from camera where id = any($1::bigint[]) and owner_id is not null order by owner_id;

-- name: insert_webhook
-- Register an endpoint; an address known already gets the new secret.
-- $1 url, $2 secret
insert into webhook (url, secret) values ($1, $2)
on conflict (url) do update set secret = excluded.secret
returning id;
