-- name: inbox_versions
-- A name for what each owner's inbox holds now: another one whenever something came or changed. No row for an empty one.
-- $1 owner ids
select p.owner_id,
       md5(string_agg(p.key::text || p.state::text || (w.withdrawn_at is not null)::text, ',' order by p.key)) as version
from reached_prompt p
left join answer w on w.request_id = p.request_id and w.owner_id = p.owner_id
where p.owner_id = any($1::bigint[])
group by p.owner_id;

-- name: notify_inboxes
-- Tell whoever shows inboxes to look again, once this transaction is committed.
select pg_notify('geodispatch_inbox', '')::text as notified;
