-- name: ground_marks
-- What tells whether anything has changed on which the rules judge some drafts, and how often their cases were asked about.
-- $1 agencies, $2 case numbers, or null
select a.id as agency_id, a.slug as agency, draft.case_number,
       v.id as rule_version,
       coalesce((select max(o.id) from ordinance_version o), 0) as ordinance_version,
       coalesce((select max(s.id) from sensitive_place s), 0) as sensitive_place_version,
       p.requests = 'ended' as are_requests_ended, p.review = 'all' as are_all_reviewed,
       coalesce((select max(r.id) from request r where r.agency_id = a.id), 0) as newest_request_id,
       coalesce((select max(w.id) from approval w where w.agency_id = a.id), 0) as newest_approval_id,
       coalesce((select max(w.id) from verdict w where w.agency_id = a.id), 0) as newest_verdict_id,
       (select count(*) + count(j.until_at) from agency_jurisdiction j where j.agency_id = a.id)
           as jurisdiction_change_count,
       case_request_count(a.id, draft.case_number) as case_request_count,
       e.id as epoch_id, e.resolution as epoch_resolution
from unnest($1::bigint[], $2::text[]) as draft (agency_id, case_number)
     join agency a on a.id = draft.agency_id
     cross join (select id from rule_version order by id desc limit 1) v
     cross join (select requests, review from programme_version order by id desc limit 1) p
     left join (select id, resolution from density_epoch order by id desc limit 1) e on true;

-- name: earlier_fences
-- The fences that an agency published after some request and since some time.
-- $1 agency, $2 after this request, $3 since
select id, opened_at, fence from request where agency_id = $1 and id > $2 and opened_at > $3 order by id;
