-- Roles: what each part of the service may do, enforced by PostgreSQL, however wrong our own code may be.
--
-- geodispatch_web       requests, posts, the public pages: no coordinate, no owner, no prompt, no account
-- geodispatch_accounts  who signs in and by what: nothing of requests, cameras, owners' wishes
-- geodispatch_matcher   cameras, with their places, and the grounds on which previews are judged
-- geodispatch_sender    owners, prompts and answers, without a place
-- geodispatch_law       what the operator enters: the rules, ordinances, jurisdictions, the programme, sensitive places
-- geodispatch_auditor   reads the audit, opens owners' data for two people of the staff
-- geodispatch_keeper    deletes what is over, and sees no more of it than when that was
--
-- The owner of the tables (who migrates, and whoever sits at the machine) is none of them. A role belongs to the whole server,
-- so another database may have made it already, or be making it just now.

do $$
declare
    name text;
begin
    foreach name in array '{web,accounts,matcher,sender,law,auditor,keeper}'::text[] loop
        name := 'geodispatch_' || name;
        if to_regrole(name) is null then
            begin
                execute format('create role %I nologin', name);
            exception
                when duplicate_object or unique_violation then null; -- another database was faster
                when insufficient_privilege then
                    raise exception 'the role % is missing, and % may not create it: an administrator of the server runs "create role % nologin; grant % to %"',
                        name, current_user, name, name, current_user using errcode = 'insufficient_privilege';
            end;
        end if;
        -- Whoever migrates can take each part, for servers on which the parts have no logins of their own.
        if not pg_has_role(current_user, name, 'member') then
            begin
                execute format('grant %I to current_user', name);
            exception
                when unique_violation then null;
                when insufficient_privilege then
                    raise exception '% is no member of the role %: an administrator of the server runs "grant % to %"',
                        current_user, name, name, current_user using errcode = 'insufficient_privilege';
            end;
        end if;
    end loop;
end $$;

-- ---- whom a transaction acts for

-- The service says so at the beginning of a transaction, in the setting geodispatch.caller: "agency 7", "owner 42", "staff 3"
-- (an account; 0 for a key), followed by a code over it. Whoever can run any SQL on a connection can set the setting, but not
-- compute the code: the keys are not to be had by the roles that are bound by it. (Nested hashing under two keys is the NMAC
-- of Bellare, Canetti and Krawczyk 1996; gen_random_uuid is PostgreSQL's own strong randomness, 122 bits of it.)
create table caller_key (
    only_one    boolean default true constraint caller_key_pkey primary key constraint caller_key_only_one check (only_one),
    inner_key   bytea not null,
    outer_key   bytea not null
);
insert into caller_key (inner_key, outer_key)
select sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8')),
       sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8'));

-- Whom of a kind the transaction acts for; null for nobody, or for a code that is wrong.
create function caller(kind text) returns bigint language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
    part text[] := string_to_array(current_setting('geodispatch.caller', true), ' ');
begin
    if cardinality(part) is distinct from 3 or part[1] <> kind then
        return null;
    end if;
    return (select part[2]::bigint from caller_key
            where part[3] = encode(sha256(outer_key || sha256(inner_key || convert_to(part[1] || ' ' || part[2], 'UTF8'))), 'hex'));
end $$;

-- ---- what a role does that it has no right to: narrow functions that act as the owner of the tables
--
-- Their search path is pinned, and temporary tables come last in it: nothing of the caller's can stand in for a table.

-- The owners of cameras, and which channel reaches them: what queueing a request's prompts takes. No place, no name, no wish.
-- A muted camera asks nobody. Ids in order are found in one walk along the index; a join would begin at its root for each,
-- or read the whole table for a part of it.
create function pairs_of_cameras(camera_ids text) returns bytea language sql stable security definer
set search_path = public, pg_temp as $$
    select string_agg(int8send(owner_id) || int8send(id), ''::bytea)
    from camera where id = any ($1::bigint[]) and owner_id is not null and not is_muted
$$;
create function owners_by_channel(wanted text) returns table (channel channel, owner_ids bytea)
language sql stable security definer set search_path = public, pg_temp as $$
    select channel_of(o), string_agg(int8send(o.id), ''::bytea) from owner o where o.id = any ($1::bigint[]) group by 1
$$;

-- The places of the cameras of the owner whom the transaction acts for, and of nobody else.
create function places_of_caller() returns table (id bigint, lon_e7 integer, lat_e7 integer)
language sql stable security definer set search_path = public, pg_temp as $$
    select id, lon_e7, lat_e7 from camera where owner_id = (select caller('owner'))
$$;

-- Counts that are public, of tables that are not.
create function members_at(agency bigint, at timestamptz) returns bigint language sql stable security definer
set search_path = public, pg_temp as $$
    select count(*) from member where agency_id = $1 and created_at < $2 and (disabled_at is null or disabled_at >= $2)
$$;
create function audit_counts(agency bigint, from_at timestamptz, until_at timestamptz) returns table (event text, count bigint)
language sql stable security definer set search_path = public, pg_temp as $$
    select event, count(*) from audit where agency_id = $1 and at >= $2 and at < $3 group by event
$$;
create function shared_counts(request_ids bigint[], at timestamptz) returns table (id bigint, shared_count bigint)
language sql stable security definer set search_path = public, pg_temp as $$
    select r.id, coalesce(t.at_least, (
        select count(*) from answer a
        where a.request_id = r.id and a.choice = 'share'
          and (a.withdrawn_at is null or a.withdrawn_at >= r.closed_at + interval '24 hours')))
    from request r left join shared_total t on t.request_id = r.id
    where r.id = any ($1) and r.closed_at <= $2 - interval '24 hours'
$$;

-- How often an agency asked about a case. A policy would keep the index of cases from being used: only functions that are known
-- to tell nothing of their arguments are asked before it.
create function case_request_count(agency bigint, case_number text) returns bigint language sql stable security definer
set search_path = public, pg_temp as $$
    select count(*) from request r
    where r.agency_id = $1 and case_key(r.case_number) = case_key($2) and r.state <> 'draft'
$$;

-- The record and the feed are written by nobody directly: whoever publishes has them written.
alter function record_append(text[]) security definer set search_path = public, pg_temp;
alter function feed_request() security definer set search_path = public, pg_temp;
alter function feed_post() security definer set search_path = public, pg_temp;
alter view attempt set (security_invoker = true);
alter view reached_prompt set (security_invoker = true);

revoke execute on function caller(text), pairs_of_cameras(text), owners_by_channel(text), places_of_caller(),
    members_at(bigint, timestamptz), audit_counts(bigint, timestamptz, timestamptz), shared_counts(bigint[], timestamptz),
    case_request_count(bigint, text), record_append(text[]), feed_request(), feed_post() from public;
grant execute on function case_request_count(bigint, text) to geodispatch_web, geodispatch_matcher;
grant execute on function pairs_of_cameras(text), owners_by_channel(text), record_append(text[]) to geodispatch_web, geodispatch_sender;
grant execute on function record_append(text[]) to geodispatch_law, geodispatch_keeper;
grant execute on function members_at(bigint, timestamptz), audit_counts(bigint, timestamptz, timestamptz),
    shared_counts(bigint[], timestamptz) to geodispatch_web;
grant execute on function shared_counts(bigint[], timestamptz) to geodispatch_keeper;
grant execute on function caller(text) to geodispatch_web;
grant execute on function places_of_caller() to geodispatch_sender;

-- ---- grants
--
-- To lock a row takes the right to update some column of it: update (id) is for that, for an identity cannot be set.

-- What is public, and what the rules judge by.
grant select on agency, jurisdiction, agency_jurisdiction, rule_version, ordinance_version, programme_version, sensitive_place,
    density_epoch, density to geodispatch_web, geodispatch_matcher, geodispatch_law;
grant select on post, post_correction, request_correction, feed_item, document, document_version, donation, report_statement, flag, flag_outcome,
    record_leaf, record_hash, record_head to geodispatch_web;

grant update (id) on agency, document, post, flag to geodispatch_web;
grant insert on post, post_correction, request_correction, document, document_version, donation, report_statement, flag, flag_outcome, audit
    to geodispatch_web;
grant select, insert on flag_contact, verdict, approval to geodispatch_web;
grant select, insert, update (state, opened_at, expires_at, rule_version, stops_at, lapses_at, closed_at, close_reason, justification,
    justified_by, justified_at) on request to geodispatch_web;
grant select, insert, update on brake to geodispatch_web;
grant select, insert, update (ended_at, outcome) on review to geodispatch_web;
grant select (id, agency_id, name) on member to geodispatch_web;
grant insert (request_id, camera_ids) on fan_out to geodispatch_web;
grant insert (request_id, owner_id, key, camera_id, channel, due_at) on prompt to geodispatch_web;
grant insert (request_id, closed_at) on closing to geodispatch_web;

grant select, update (id), insert on agency to geodispatch_accounts;
grant select, insert, update on member, account, session, recovery_code, device, invitation, brake, access_key to geodispatch_accounts;
grant delete on session, recovery_code, device, brake to geodispatch_accounts;
grant select (id, external_id) on owner to geodispatch_accounts;
grant insert on audit to geodispatch_accounts;

grant select on request, approval, verdict, caller_key to geodispatch_matcher;
grant insert on density_epoch, density, audit to geodispatch_matcher;
-- What was added to the counts makes them exact again: the web has what is shown, and no more.
grant select, insert on density_series to geodispatch_matcher;
grant select, insert, delete on density_noise to geodispatch_matcher;
grant select, insert, update on camera to geodispatch_matcher;
grant select (id, external_id, webhook_id), insert (external_id, webhook_id), update (webhook_id) on owner to geodispatch_matcher;

grant select on agency, record_leaf to geodispatch_sender;
grant update (id) on agency to geodispatch_sender;
grant select, update (state, closed_at, close_reason) on request to geodispatch_sender;
grant select (id, external_id, owner_id, zone, is_muted), update (is_muted) on camera to geodispatch_sender;
grant select, update on owner to geodispatch_sender;
grant select, insert, update, delete on prompt, lost_attempt, dead_letter, closing, agency_hour, breaker, channel_bucket,
    mail_address, push_subscription to geodispatch_sender;
grant select, insert, update on answer, webhook to geodispatch_sender;
grant select, update (done_count), delete on fan_out to geodispatch_sender;
grant select on attempt, reached_prompt to geodispatch_sender;
grant insert on audit to geodispatch_sender;

grant insert on jurisdiction, agency_jurisdiction, rule_version, ordinance_version, programme_version, sensitive_place, audit
    to geodispatch_law;
grant update (until_at) on agency_jurisdiction to geodispatch_law;
grant update (day_quota) on agency to geodispatch_law;
grant select, update on request to geodispatch_law;
grant update on rule_version, sensitive_place to geodispatch_law; -- to lock the table takes it; a trigger refuses the rest
grant insert (request_id, closed_at) on closing to geodispatch_law;

grant select on audit to geodispatch_auditor;

-- Of what it deletes the keeper sees whose row it is and when that was over. (What "for update" takes is the right to update.)
grant select (id, left_at), update (webhook_id, week_max, quiet_start, quiet_end, channel, language, muted_agency_ids, muted_offences,
    asked_at, asked_for, has_push, has_mail, left_at) on owner to geodispatch_keeper;
grant select (owner_id), update (external_id, owner_id, lon_e7, lat_e7, zone, is_muted, changed_in) on camera to geodispatch_keeper;
grant select (request_id, owner_id, state, due_at), update (due_at), delete on prompt to geodispatch_keeper;
grant select (request_id, owner_id), delete on answer, lost_attempt, dead_letter to geodispatch_keeper;
grant select (owner_id), delete on mail_address, push_subscription to geodispatch_keeper;
grant select (id, owner_id, revoked_at), delete on access_key to geodispatch_keeper;
grant select (hash, created_at), delete on session to geodispatch_keeper;
grant select (hash, seen_at), delete on device to geodispatch_keeper;
grant select (subject, since, locked_until), delete on brake to geodispatch_keeper;
grant select (id, expires_at), delete on invitation to geodispatch_keeper;
grant select (agency_id, hour), delete on agency_hour to geodispatch_keeper;
grant select (channel, endpoint, failed_at, open_until), delete on breaker to geodispatch_keeper;
grant select (epoch_id, cell), delete on density to geodispatch_keeper;
grant select (id, drawn_at) on density_epoch to geodispatch_keeper;
grant select (flag_id), delete on flag_contact to geodispatch_keeper;
grant select (id, flagged_at) on flag to geodispatch_keeper;
grant select, update (done_owner_id, is_counted, is_pruned), delete on closing to geodispatch_keeper;
grant select (request_id), insert on shared_total to geodispatch_keeper;

-- ---- rows
--
-- What is private to an agency is bound to whom the transaction acts for. The owner of the tables is not bound: it is not a role
-- that serves anybody. The look at the caller stands in a subquery, which is made once a query and not once a row.

do $$
declare
    name text;
begin
    foreach name in array '{request,approval,review,verdict,member,flag_contact,post,post_correction,request_correction,document,document_version,donation,report_statement}'::text[]
    loop
        execute format('alter table %I enable row level security', name);
        -- The other roles are bound by their grants.
        execute format('create policy %I on %I to geodispatch_accounts, geodispatch_matcher, geodispatch_sender, geodispatch_law, geodispatch_keeper using (true) with check (true)',
                       name || '_elsewhere', name);
    end loop;
    -- What is public is read by everybody, and published by its agency alone.
    foreach name in array '{post,post_correction,request_correction,document,document_version,donation,report_statement}'::text[] loop
        execute format('create policy %I on %I for select to geodispatch_web using (true)', name || '_read', name);
    end loop;
    foreach name in array '{post,document,donation,report_statement}'::text[] loop
        execute format('create policy %I on %I for insert to geodispatch_web with check (agency_id = (select caller(''agency'')))', name || '_publish', name);
        execute format('create policy %I on %I for update to geodispatch_web using (agency_id = (select caller(''agency''))) with check (false)', name || '_hold', name);
    end loop;
end $$;
create policy post_correction_publish on post_correction for insert to geodispatch_web
    with check (exists (select from post p where p.id = post_id and p.agency_id = (select caller('agency'))));
create policy request_correction_publish on request_correction for insert to geodispatch_web
    with check (exists (select from request r where r.id = request_id and r.agency_id = (select caller('agency')) and r.opened_at is not null));
create policy document_version_publish on document_version for insert to geodispatch_web
    with check (exists (select from document d where d.id = document_id and d.agency_id = (select caller('agency'))));

create policy request_read on request for select to geodispatch_web
    using (opened_at is not null or agency_id = (select caller('agency')) or (select caller('staff')) is not null);
create policy request_submit on request for insert to geodispatch_web with check (agency_id = (select caller('agency')));
create policy request_change on request for update to geodispatch_web
    using (agency_id = (select caller('agency')) or (select caller('staff')) is not null);
create policy approval_own on approval to geodispatch_web using (agency_id = (select caller('agency')));
create policy member_own on member for select to geodispatch_web using (agency_id = (select caller('agency')));
-- Of a review everybody sees as much as of its request.
create policy review_read on review for select to geodispatch_web using (exists (select from request r where r.id = request_id));
create policy review_change on review for update to geodispatch_web using (
    (select caller('staff')) is not null
    or exists (select from request r where r.id = request_id and r.agency_id = (select caller('agency'))));
create policy review_begin on review for insert to geodispatch_web
    with check (exists (select from request r where r.id = request_id and r.agency_id = (select caller('agency'))));
create policy verdict_read on verdict for select to geodispatch_web using (exists (select from request r where r.id = request_id));
create policy verdict_give on verdict for insert to geodispatch_web with check (account_id = (select caller('staff')));
create policy flag_contact_keep on flag_contact for insert to geodispatch_web with check (true);
create policy flag_contact_read on flag_contact for select to geodispatch_web using ((select caller('staff')) is not null);

-- Breaking the glass: two people of the staff open the data of one owner, for a reason and until an instant.
--
-- One asks, another grants, and then the one who asked may read; each of it leaves a row in the audit, which the functions here
-- write themselves. No role of ours reads this any other way, and none can play both people: whom a transaction acts for is
-- proved (see the function `caller`). The clock is PostgreSQL's own, for a thief would bring one that suits.

create table break_glass (
    id          bigint generated always as identity constraint break_glass_pkey primary key,
    owner_id    bigint not null constraint break_glass_owner_fkey references owner,
    reason      text not null,
    asked_by    bigint not null constraint break_glass_asked_by_fkey references account,
    asked_at    timestamptz not null default now(),
    ends_at     timestamptz not null,
    granted_by  bigint constraint break_glass_granted_by_fkey references account,
    granted_at  timestamptz,
    constraint break_glass_reason_length check (length(reason) between 10 and 500),
    constraint break_glass_ends check (ends_at > asked_at and ends_at <= asked_at + interval '24 hours'),
    constraint break_glass_two_people check (granted_by <> asked_by),
    constraint break_glass_granted check ((granted_by is null) = (granted_at is null) and granted_at < ends_at)
);

create function break_glass_note(event text, subject text, network cidr) returns void language sql security definer
set search_path = public, pg_temp as $$
    insert into audit (at, event, actor, account_id, subject, network)
    values (now(), $1, 'account ' || caller('staff'), caller('staff'), left($2, 500), $3)
$$;

-- Ask for the data of an owner; null where there is none of this name, or nobody of the staff asks.
create function break_glass_ask(owner_name text, reason text, valid_for interval, network cidr) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    made bigint;
begin
    insert into break_glass (owner_id, reason, asked_by, ends_at)
    select o.id, $2, caller('staff'), now() + $3 from owner o where o.external_id = $1 and caller('staff') > 0
    returning id into made;
    if made is not null then
        -- Not whose: the audit is no list of owners.
        perform break_glass_note('break_glass.asked', format('access %s: %s', made, $2), $4);
    end if;
    return made;
end $$;

-- Grant what another asked for; false where it is one's own, granted already, or over.
create function break_glass_grant(access bigint, network cidr) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update break_glass set granted_by = caller('staff'), granted_at = now()
    where id = $1 and granted_at is null and asked_by <> caller('staff') and caller('staff') > 0 and ends_at > now();
    if found then
        perform break_glass_note('break_glass.granted', format('access %s', $1), $2);
    end if;
    return found;
end $$;

-- What there is about the owner; null for anybody but who asked, before it is granted, and after its end.
create function break_glass_read(access bigint, network cidr) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    wanted bigint;
begin
    select owner_id into wanted from break_glass
    where id = $1 and granted_at is not null and asked_by = caller('staff') and ends_at > now();
    if wanted is null then
        return null;
    end if;
    perform break_glass_note('break_glass.read', format('access %s', $1), $2);
    return (
        select jsonb_build_object(
            'owner', o.external_id, 'opted_out_at', o.opted_out_at, 'channel', channel_of(o), 'language', o.language,
            'mail_address', (select m.address from mail_address m where m.owner_id = o.id),
            'cameras', coalesce((
                select jsonb_agg(jsonb_build_object('id', c.external_id, 'lon', c.lon_e7 / 1e7, 'lat', c.lat_e7 / 1e7,
                                                    'is_muted', c.is_muted) order by c.id)
                from camera c where c.owner_id = o.id), '[]'),
            'prompts', coalesce((
                select jsonb_agg(jsonb_build_object('request_id', p.request_id, 'state', p.state, 'asked_at', p.asked_at,
                                                    'delivered_at', p.delivered_at, 'choice', a.choice,
                                                    'withdrawn_at', a.withdrawn_at) order by p.request_id desc)
                from prompt p left join answer a on a.request_id = p.request_id and a.owner_id = p.owner_id
                where p.owner_id = o.id), '[]'))
        from owner o where o.id = wanted);
end $$;

revoke execute on function break_glass_note(text, text, cidr), break_glass_ask(text, text, interval, cidr),
    break_glass_grant(bigint, cidr), break_glass_read(bigint, cidr) from public;
grant execute on function break_glass_ask(text, text, interval, cidr), break_glass_grant(bigint, cidr),
    break_glass_read(bigint, cidr) to geodispatch_auditor;
-- Who asked for what, and why; not whose data it is.
grant select (id, reason, asked_by, asked_at, ends_at, granted_by, granted_at) on break_glass to geodispatch_auditor;

-- ---- owners who leave
--
-- What whoever sends has no right to: take the names, owner and places of an owner's cameras away, as `cameras.remove_camera` does,
-- end the owner's tokens, and the staff's access to what is about to be forgotten. Only of an owner who has left.
create function strip_owner(owner_id bigint, at timestamptz) returns void language plpgsql security definer
set search_path = public, pg_temp as $$
begin
    perform from owner o where o.id = $1 and o.left_at is not null;
    if not found then
        return;
    end if;
    update camera c set external_id = null, owner_id = null, lon_e7 = null, lat_e7 = null, zone = null, is_muted = false,
        changed_in = default
    where c.owner_id = $1;
    update access_key k set revoked_at = $2 where k.owner_id = $1 and k.revoked_at is null;
    update break_glass b set ends_at = clock_timestamp() where b.owner_id = $1 and b.ends_at > clock_timestamp();
end $$;
revoke execute on function strip_owner(bigint, timestamptz) from public;
grant execute on function strip_owner(bigint, timestamptz) to geodispatch_sender;
