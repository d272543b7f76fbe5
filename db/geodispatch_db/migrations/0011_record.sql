-- The public record: a Merkle tree (RFC 6962) over leaves that are only ever added, each in the transaction of the fact that
-- it records.
--
-- record_leaf   what was recorded: canonical JSON, whose UTF-8 bytes are the entry
-- record_hash   the hashes that tiles (c2sp.org/tlog-tiles) show: of leaves at level 0, of whole subtrees of 256^level leaves above
-- record_head   how many leaves there are, and the hashes of the whole subtrees they make up, the largest first
--
-- Nothing here that is not hashed, or shown and so checked by whoever recomputes it.

create table record_leaf (
    index    bigint constraint record_leaf_pkey primary key,
    content  text not null,
    constraint record_leaf_index check (index >= 0),
    constraint record_leaf_object check (jsonb_typeof(content::jsonb) = 'object'),
    constraint record_leaf_content_length check (octet_length(content) <= 65535) -- a bundle of entries counts in 16 bits
);
-- A request is published once; what shows it shows its leaf.
create unique index record_leaf_publication on record_leaf ((content::jsonb ->> 'subject'))
    where content::jsonb ->> 'kind' = 'publication';

create table record_hash (
    level     smallint not null,
    position  bigint not null,
    hash      bytea not null,
    constraint record_hash_pkey primary key (level, position),
    constraint record_hash_length check (length(hash) = 32)
);

create table record_head (
    only_one  boolean default true constraint record_head_pkey primary key constraint record_head_only_one check (only_one),
    size      bigint not null,
    subtrees  bytea[] not null
) with (fillfactor = 10); -- one row, changed at each append: there is room on its page, so no index is written
insert into record_head (size, subtrees) values (0, '{}');

create function record_keep() returns trigger language plpgsql as $$
begin
    raise exception '% is only ever added to', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger record_leaf_keep before update or delete or truncate on record_leaf
    for each statement execute function record_keep();
create trigger record_hash_keep before update or delete or truncate on record_hash
    for each statement execute function record_keep();
create trigger record_head_keep before insert or delete or truncate on record_head
    for each statement execute function record_keep();
create function record_grow() returns trigger language plpgsql as $$
begin
    if new.size <= old.size then
        raise exception 'the record only grows' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create trigger record_head_grow before update on record_head for each row execute function record_grow();

-- Add leaves in this order and return the index of the first. The head's row is what all who append wait for: it is locked until
-- the transaction ends, so that indexes have no gap and stand in the order of the commits. Nothing else may be locked after it.
create function record_append(contents text[]) returns bigint language plpgsql as $$
declare
    tree_size bigint;
    subtree_hashes bytea[];
    first bigint;
    leaf text;
    place bigint;
    height integer;
    node bytea;
begin
    select size, subtrees into strict tree_size, subtree_hashes from record_head for update;
    first := tree_size;
    foreach leaf in array contents loop
        node := sha256('\x00'::bytea || convert_to(leaf, 'UTF8'));
        insert into record_leaf (index, content) values (tree_size, leaf);
        insert into record_hash (level, position, hash) values (0, tree_size, node);
        place := tree_size;
        height := 0;
        while place & 1 = 1 loop -- it completes the subtree whose left half is the last one there is
            node := sha256('\x01'::bytea || subtree_hashes[cardinality(subtree_hashes)] || node);
            subtree_hashes := trim_array(subtree_hashes, 1);
            place := place >> 1;
            height := height + 1;
            if height % 8 = 0 then
                insert into record_hash (level, position, hash) values (height / 8, place, node);
            end if;
        end loop;
        subtree_hashes := subtree_hashes || node;
        tree_size := tree_size + 1;
    end loop;
    if tree_size > first then
        update record_head set size = tree_size, subtrees = subtree_hashes;
    end if;
    return first;
end $$;

-- The leaf of a request's publication; null for one that is not public.
create function leaf_of(r request) returns bigint language sql stable
    return (select l.index from record_leaf l
            where l.content::jsonb ->> 'kind' = 'publication' and l.content::jsonb ->> 'subject' = 'request/' || r.id);

-- What there was before the record is its beginning, in the order in which it happened. The same members and values as
-- geodispatch/record.py writes (`geodispatch record verify` compares them), though not its spacing.
create function record_moment(at timestamptz) returns text language sql
    return regexp_replace(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '\.0{6}$', '') || 'Z';
create function record_sha256(body text) returns text language sql
    return encode(sha256(convert_to(body, 'UTF8')), 'hex');

with fact (at, place, id, content) as (
    select entered_at, 0, id, jsonb_build_object(
        'kind', 'rule_version', 'subject', 'rules', 'version', id, 'entered_at', record_moment(entered_at), 'reason', reason,
        'limits', document -> 'limits',
        'changed', coalesce((
            select jsonb_agg(t.tightening || jsonb_build_object('number', t.number) order by t.number)
            from jsonb_array_elements(document -> 'tightenings') with ordinality as t (tightening, number)
            where t.tightening is distinct from before.tightenings -> (t.number - 1)::integer), '[]'))
    from (select v.*, lag(document -> 'tightenings') over (order by id) as tightenings from rule_version v) before
    union all
    select entered_at, 1, id, jsonb_build_object(
        'kind', 'programme', 'subject', 'programme', 'requests', requests, 'review', review, 'reason', reason,
        'entered_at', record_moment(entered_at))
    from programme_version
    union all
    select v.entered_at, 2, v.id, jsonb_build_object(
        'kind', 'ordinance', 'subject', 'ordinance/' || v.slug, 'slug', v.slug, 'jurisdiction', j.slug, 'rule', v.rule,
        'reference', v.reference, 'from_at', record_moment(v.from_at), 'until_at', record_moment(v.until_at),
        'limits', v.limits, 'reason', v.reason, 'entered_at', record_moment(v.entered_at))
    from ordinance_version v join jurisdiction j on j.id = v.jurisdiction_id
    union all
    select r.opened_at, 3, r.id, jsonb_build_object(
        'kind', 'publication', 'subject', 'request/' || r.id, 'request', jsonb_build_object(
            'id', r.id, 'agency', jsonb_build_object('slug', a.slug, 'name', a.name), 'case_number', r.case_number,
            'offence', r.offence, 'text', r.body,
            'contact', jsonb_build_object('name', r.contact_name, 'email', r.contact_email),
            'window', jsonb_build_object('start', record_moment(r.window_start), 'end', record_moment(r.window_end)),
            'fence', r.fence, 'area_m2', r.area_m2, 'opened_at', record_moment(r.opened_at),
            'expires_at', record_moment(r.expires_at), 'rule_version', r.rule_version,
            'exigency', case when r.exigent_reason is not null then jsonb_build_object(
                'reason', r.exigent_reason, 'justify_by', record_moment(r.opened_at + interval '168 hours'),
                'justification', null, 'justified_at', null) end))
    from request r join agency a on a.id = r.agency_id
    where r.opened_at is not null
    union all
    select closed_at, 4, id, jsonb_build_object(
        'kind', 'closing', 'subject', 'request/' || id, 'closed_at', record_moment(closed_at), 'reason', close_reason)
    from request
    where closed_at is not null
    union all
    select justified_at, 5, id, jsonb_build_object(
        'kind', 'justification', 'subject', 'request/' || id, 'exigency', jsonb_build_object(
            'reason', exigent_reason, 'justify_by', record_moment(opened_at + interval '168 hours'),
            'justification', justification, 'justified_at', record_moment(justified_at)))
    from request
    where justified_at is not null
    union all
    select p.published_at, 6, p.id, jsonb_build_object(
        'kind', 'post', 'subject', 'post/' || p.id, 'post', jsonb_build_object(
            'id', p.id, 'agency', jsonb_build_object('slug', a.slug, 'name', a.name), 'kind', p.kind, 'title', p.title,
            'text', p.body, 'area', p.area, 'starts_at', record_moment(p.starts_at), 'ends_at', record_moment(p.ends_at),
            'published_at', record_moment(p.published_at)))
    from post p join agency a on a.id = p.agency_id
    union all
    select published_at, 7, id, jsonb_build_object(
        'kind', 'correction', 'subject', 'post/' || post_id, 'text', body, 'published_at', record_moment(published_at))
    from post_correction
    union all
    select v.published_at, 8, v.document_id, jsonb_build_object(
        'kind', 'document_version', 'subject', 'document/' || v.document_id, 'agency', a.slug, 'document_kind', d.kind,
        'number', v.number, 'title', v.title, 'link', v.link, 'text_sha256', record_sha256(v.body),
        'in_force_on', v.in_force_on, 'ends_on', v.ends_on, 'published_at', record_moment(v.published_at))
    from document_version v join document d on d.id = v.document_id join agency a on a.id = d.agency_id
    union all
    select d.published_at, 9, d.id, jsonb_build_object(
        'kind', 'donation', 'subject', 'donation/' || d.id, 'agency', a.slug, 'donor', d.donor,
        'device_count', d.device_count, 'description', d.description, 'received_on', d.received_on,
        'replaces', d.replaces, 'published_at', record_moment(d.published_at))
    from donation d join agency a on a.id = d.agency_id
    union all
    select s.published_at, 10, s.id, jsonb_build_object(
        'kind', 'report_statement', 'subject', 'report_statement/' || s.id, 'agency', a.slug, 'year', s.year,
        'section', s.section, 'text_sha256', record_sha256(s.body), 'published_at', record_moment(s.published_at))
    from report_statement s join agency a on a.id = s.agency_id
)
select record_append(array_agg(content::text order by at, place, id, (content ->> 'number')::integer)) from fact;

drop function record_moment;
drop function record_sha256;
