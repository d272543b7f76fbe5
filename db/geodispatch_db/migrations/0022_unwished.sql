-- Why an owner does not want what is under way, as a claim would put it by wishes alone (geodispatch/pace.py); null if the owner does.
create function unwished(p prompt, o owner, r request) returns suppression language sql stable as $$
    select case
        when o.opted_out_at is not null then 'opted_out'
        when r.agency_id = any (o.muted_agency_ids) or r.offence = any (o.muted_offences) then 'muted'
        when p.camera_id is not null and not (
            exists (select from camera c where c.id = p.camera_id and c.owner_id = p.owner_id and not c.is_muted)
            or other_camera(p.request_id, p.owner_id) is not null) then 'no_camera'
        when o.week_max = 0 then 'owner_max' end::suppression
$$;
