-- name: addresses_of_owners
-- Where these owners are reached beside the inbox, one row for all who are reached alike: most have nothing but the app that
-- they share with thousands. No row for one who is not reached.
-- $1 owner ids
select array_agg(o.id) as owner_ids, o.language, w.id as webhook_id, w.url as webhook_url, w.secret as webhook_secret,
       m.address as mail_address, m.key as mail_key, o.subscriptions
from (
    select id, language, webhook_id, has_mail,
           case when has_push then (
               select jsonb_agg(jsonb_build_object('id', s.id, 'endpoint', s.endpoint, 'p256dh', s.p256dh, 'auth', s.auth)
                                order by s.id)
               from push_subscription s where s.owner_id = owner.id) end as subscriptions
    from owner where id = any($1::bigint[])) o
left join webhook w on w.id = o.webhook_id and w.disabled_at is null
left join mail_address m on o.has_mail and m.owner_id = o.id and m.refused_at is null
where w.id is not null or m.owner_id is not null or o.subscriptions is not null
group by o.language, w.id, m.owner_id, o.subscriptions;

-- name: upsert_mail_address
-- Give an owner an address; the name in links stays, and an earlier refusal of another address is forgotten.
-- $1 owner id, $2 address, $3 key if the owner has none yet
with known as (
    insert into mail_address (owner_id, address, key) values ($1, $2, $3)
    on conflict (owner_id) do update set address = excluded.address, refused_at = null, refused_for = null
    returning owner_id)
update owner set has_mail = true from known where owner.id = known.owner_id and not has_mail;

-- name: delete_mail_address
-- Forget an owner's address; a row where there was one.
-- $1 owner id
with forgotten as (delete from mail_address where owner_id = $1 returning owner_id)
update owner set has_mail = false from forgotten where owner.id = forgotten.owner_id returning owner_id;

-- name: owner_of_mail_key
-- Whose mails carry this name in their links.
-- $1 key
select owner_id from mail_address where key = $1;

-- name: refuse_mail_addresses
-- Use addresses no more that their servers refused for good, unless the owner has another by now.
-- $1 owner ids, $2 addresses, $3 why, $4 now
with refused as (
    update mail_address m set refused_at = $4, refused_for = refused.reason
    from unnest($1::bigint[], $2::text[], $3::text[]) as refused (owner_id, address, reason)
    where m.owner_id = refused.owner_id and m.address = refused.address and m.refused_at is null
    returning m.owner_id)
update owner set has_mail = false from refused where owner.id = refused.owner_id;

-- name: owner_of_push_subscription
-- Who has used a browser until now; held until this transaction ends.
-- $1 endpoint
select owner_id from push_subscription where endpoint = $1 for update;

-- name: push_endpoints_of_owner
-- The browsers of an owner, in the order in which they came.
-- $1 owner id
select endpoint from push_subscription where owner_id = $1 order by id;

-- name: insert_push_subscription
-- Add a browser, or move it to the owner who uses it now; no row where the owner has as many as one can have.
-- $1 owner id, $2 endpoint, $3 p256dh, $4 auth, $5 how many an owner can have
insert into push_subscription (owner_id, endpoint, p256dh, auth)
select $1, $2, $3, $4
where (select count(*) from push_subscription where owner_id = $1 and endpoint <> $2) < $5::integer
on conflict (endpoint) do update set owner_id = excluded.owner_id, p256dh = excluded.p256dh, auth = excluded.auth
returning id;

-- name: count_push
-- Note in owners whether they have a browser, after some came or went.
-- $1 owner ids
update owner set has_push = not has_push
where id = any($1::bigint[])
  and has_push <> exists (select from push_subscription s where s.owner_id = owner.id);

-- name: delete_push_subscription
-- Forget one of an owner's browsers; a row where there was such a one.
-- $1 owner id, $2 endpoint
delete from push_subscription where owner_id = $1 and endpoint = $2 returning id;

-- name: delete_gone_subscriptions
-- Forget browsers that are gone; a row for each, with whose it was.
-- $1 ids
delete from push_subscription where id = any($1::bigint[]) returning owner_id;

-- name: opt_out
-- From now on a locked owner is not asked.
-- $1 owner id, $2 now
update owner set opted_out_at = coalesce(opted_out_at, $2) where id = $1;

-- name: disable_webhooks
-- Use endpoints no more.
-- $1 ids, $2 why, $3 now
update webhook set disabled_at = $3, disabled_for = $2 where id = any($1::bigint[]) and disabled_at is null returning id;

-- name: enable_webhook
-- Use an endpoint again; a row where there is such a one.
-- $1 id
update webhook set disabled_at = null, disabled_for = null where id = $1 returning id;

-- name: list_webhooks
-- All endpoints, and how they are.
select w.id, w.url, w.secret, w.disabled_at, w.disabled_for, b.failure_count, b.open_until, b.last_failure
from webhook w left join breaker b on b.channel = 'webhook' and b.endpoint = w.id::text
order by w.id;
