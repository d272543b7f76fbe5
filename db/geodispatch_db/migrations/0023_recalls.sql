-- How often owners have taken back what was on its way to them. Whoever is about to deliver looks whether that has moved since the
-- claim, and only then at each prompt. It moves before the owner's transaction commits, and so before the owner has a reply.
create sequence recalls;
select nextval('recalls'); -- the first one moves nothing
grant usage, select on sequence recalls to geodispatch_sender;
