-- name: let_roles_in
-- Let the service's roles sign in themselves. They belong to the whole server: those that can already are left alone, for two
-- who write the same role at the same time would fail.
do $$
declare
    name text;
begin
    for name in select rolname from pg_roles
        where rolname in ('geodispatch_web', 'geodispatch_accounts', 'geodispatch_matcher', 'geodispatch_sender', 'geodispatch_law',
                          'geodispatch_auditor')
          and not rolcanlogin
    loop
        execute format('alter role %I login', name);
    end loop;
end $$;
