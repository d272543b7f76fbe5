-- Access to an owner's data as people work with it: any of the staff can end it before its time, or turn it down; whoever is to grant
-- it sees whose data it is; and the owner sees that it was opened.

alter table break_glass
    add column ended_by bigint constraint break_glass_ended_by_fkey references account; -- null: it ended by itself, or the owner left
create index break_glass_owner on break_glass (owner_id);

-- End an access, granted or not; false where it is over.
create function break_glass_end(access bigint, network cidr) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    -- The clock is read when the row is ours: it may have been granted while we waited for it.
    update break_glass set ended_by = caller('staff'), ends_at = least(ends_at, clock_timestamp())
    where id = $1 and caller('staff') > 0 and ends_at > clock_timestamp();
    if found then
        perform break_glass_note('break_glass.ended', format('access %s', $1), $2);
    end if;
    return found;
end $$;

-- Whose data an access is to: for all of the staff while it waits, for nobody grants what they do not know; from then on for who asked
-- alone; and for nobody once it is over, for a list of accesses is no list of owners.
create function break_glass_owner(access bigint) returns text language sql stable security definer
set search_path = public, pg_temp as $$
    select o.external_id from break_glass b join owner o on o.id = b.owner_id
    where b.id = $1 and caller('staff') > 0 and b.ends_at > clock_timestamp()
      and (b.granted_at is null or b.asked_by = caller('staff'))
$$;

-- When the data of the owner who calls was opened, the newest first. Not by whom: the audit has that.
create function accesses_to_caller() returns table (opened_at timestamptz, ends_at timestamptz, reason text)
language sql stable security definer set search_path = public, pg_temp as $$
    select b.granted_at, b.ends_at, b.reason from break_glass b
    where b.owner_id = (select caller('owner')) and b.granted_at is not null
    order by b.id desc
$$;

revoke execute on function break_glass_end(bigint, cidr), break_glass_owner(bigint), accesses_to_caller() from public;
grant execute on function break_glass_end(bigint, cidr), break_glass_owner(bigint) to geodispatch_auditor;
grant execute on function accesses_to_caller() to geodispatch_sender;
grant select (ended_by) on break_glass to geodispatch_auditor;
grant select (id, name) on account to geodispatch_auditor;
