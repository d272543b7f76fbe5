-- Channels: where owners are reached beside the inbox, which endpoints are out of order, what could not be delivered.

-- An app's server said 410 Gone, or its operator took it out of use.
alter table webhook
    add column disabled_at timestamptz,
    add column disabled_for text,
    add constraint webhook_disabled check ((disabled_at is null) = (disabled_for is null));

-- `key` names the owner in the links of a mail, and says nothing of how many owners there are.
create table mail_address (
    owner_id    bigint constraint mail_address_pkey primary key constraint mail_address_owner_fkey references owner,
    address     text not null,
    key         uuid not null constraint mail_address_key unique,
    refused_at  timestamptz,
    refused_for text,
    created_at  timestamptz not null default now(),
    constraint mail_address_length check (length(address) between 3 and 254),
    constraint mail_address_refused check ((refused_at is null) = (refused_for is null))
);

-- A browser that shows prompts as notifications (RFC 8030, RFC 8291); the keys are base64url, as browsers give them.
create table push_subscription (
    id          bigint generated always as identity constraint push_subscription_pkey primary key,
    owner_id    bigint not null constraint push_subscription_owner_fkey references owner,
    endpoint    text not null constraint push_subscription_endpoint_key unique,
    p256dh      text not null,
    auth        text not null,
    created_at  timestamptz not null default now(),
    constraint push_subscription_endpoint_length check (length(endpoint) <= 2048)
);
create index push_subscription_of_owner on push_subscription (owner_id);

-- Endpoints that failed lately; one without a row works. Nothing is tried before `open_until`, and then one try by one
-- sender, which moves it forward first. All senders share this: a Retry-After is meant for every one of them.
create table breaker (
    channel       channel not null,
    endpoint      text not null,
    failure_count integer not null,
    opened_at     timestamptz,
    open_until    timestamptz,
    last_failure  text not null,
    constraint breaker_pkey primary key (channel, endpoint),
    constraint breaker_failed check (failure_count > 0),
    constraint breaker_open check ((opened_at is null) = (open_until is null))
);

-- What of that an owner has, in the owner's own row: a million prompts are queued by it.
alter table owner
    add column has_push boolean not null default false,
    add column has_mail boolean not null default false,
    set (fillfactor = 45); -- so that an ask, which rewrites the row, still finds room on its page

-- How an owner is reached: as the owner wishes, else through the app, the browser or by mail, else in the inbox here.
create or replace function channel_of(o owner) returns channel language sql stable
    return coalesce(o.channel, case when o.webhook_id is not null then 'webhook' when o.has_push then 'push'
                                    when o.has_mail then 'mail' else 'inbox' end::channel);

-- A prompt that a channel gave up, and which lies in the inbox since. `due_at` is when its replay may be claimed, or when
-- the lease of one lapses; null: it lies until somebody asks for one. `delivered_at`: a replay arrived. As with attempts, there
-- is no foreign key to prompt: whoever prunes a prompt prunes its letters, too.
create table dead_letter (
    request_id    bigint not null,
    owner_id      bigint not null,
    channel       channel not null,
    endpoint      text not null,
    failure       text not null,
    died_at       timestamptz not null,
    replay_count  smallint not null default 0,
    due_at        timestamptz,
    delivered_at  timestamptz,
    constraint dead_letter_pkey primary key (request_id, owner_id, channel),
    constraint dead_letter_done check (delivered_at is null or due_at is null)
);
create index dead_letter_due on dead_letter (due_at) where due_at is not null;
create index dead_letter_lying on dead_letter (died_at) where delivered_at is null;
