-- name: let_roles_in
-- Let the service's roles sign in themselves; one caller after the other, for two who write the same role at once would fail.
do $$
declare
    name text;
begin
    perform pg_advisory_xact_lock(hashtext('geodispatch roles'));
    for name in select rolname from pg_roles
        where rolname in ('geodispatch_web', 'geodispatch_accounts', 'geodispatch_matcher', 'geodispatch_sender', 'geodispatch_law',
                          'geodispatch_auditor', 'geodispatch_keeper')
          and not rolcanlogin
    loop
        execute format('alter role %I login', name);
    end loop;
end $$;
