-- Preview privacy: histograms are drawn in series, and what each series spends of a year's budget is written down.
--
-- density_series ─┬─ density_epoch ── density    what a drawing shows
--                 └─ density_noise               what was added to the counts: never shown
--
-- What was drawn before spent thousands of times what a year may now; it is deleted, so that no preview shows it any more.

truncate density, density_epoch;

create table density_series (
    id          bigint generated always as identity constraint density_series_pkey primary key,
    resolution  smallint not null,
    rho         double precision not null,
    begun_at    timestamptz not null,
    constraint density_series_rho check (rho > 0),
    constraint density_series_resolution unique (id, resolution)
);

alter table density_epoch
    drop column epsilon,
    add column series_id bigint not null,
    add column number smallint not null,
    add constraint density_epoch_series_fkey foreign key (series_id, resolution) references density_series (id, resolution),
    add constraint density_epoch_number check (number between 1 and 12),
    add constraint density_epoch_once unique (series_id, number);

-- Noise makes counts below zero, and leaving these out would tell of what is above.
alter table density drop constraint density_positive;

-- Together with what is shown it gives the counts themselves: only what draws may read it. Gone when its series is over.
create table density_noise (
    series_id   bigint not null constraint density_noise_series_fkey references density_series,
    number      smallint not null,
    cell        bigint not null,
    noise       bigint not null,
    constraint density_noise_pkey primary key (series_id, cell, number)
);

-- The accounts of the budget: nobody takes back what was spent.
create trigger density_series_keep before update or delete or truncate on density_series
    for each statement execute function law_keep();
create trigger density_epoch_keep before update or delete or truncate on density_epoch
    for each statement execute function law_keep();
