-- Locks that are waited for in line. Those who share a row may come one after the other for ever, while whoever wants it alone waits.

-- Claims, settlings and answers share a request; whoever closes it is next.
create function line_of_request(id bigint) returns bigint language sql immutable parallel safe as
    $$ select hashtextextended('geodispatch.request', id) $$;

-- What an agency may still ask is counted by one claim at a time. Not by its row: whoever submits for it or closes a request holds
-- that, and may wait for the very claim.
create function line_of_quota(agency_id bigint) returns bigint language sql immutable parallel safe as
    $$ select hashtextextended('geodispatch.quota', agency_id) $$;
revoke update (id) on agency from geodispatch_sender;
