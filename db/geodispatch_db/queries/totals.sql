-- name: shared_counts
-- How many owners shared footage for requests that closed a day ago or earlier: as it stood one day after the closing, so that
-- nothing can be read from how it changes.
-- $1 request ids, $2 now
select id, shared_count from shared_counts($1, $2);
