-- The same answer as before in a fifth of the time: a text that is cast is looked up in the catalogue for each owner, a label is
-- read once. It is asked for every owner of a request.
create or replace function channel_of(o owner) returns channel language sql stable
    return coalesce(o.channel, case when o.webhook_id is not null then 'webhook'::channel when o.has_push then 'push'::channel
                                    when o.has_mail then 'mail'::channel else 'inbox'::channel end);
