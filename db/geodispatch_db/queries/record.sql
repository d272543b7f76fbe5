-- name: append
-- Add leaves and return the first one's index. The record's head stays locked until the transaction ends: nothing else may be
-- locked after this.
-- $1 their contents, in order
select record_append($1::text[]);

-- name: head
-- How many leaves there are, and the hashes of the whole subtrees they make up, the largest first.
select size, subtrees from record_head;

-- name: leaves
-- The contents of leaves, in order.
-- $1 the first, $2 the one after the last
select content from record_leaf where index >= $1 and index < $2 order by index;

-- name: hashes
-- Hashes of several stretches.
-- $1 levels, $2 their first positions, $3 the positions after their last: one array a column
select h.level, h.position, h.hash
from unnest($1::smallint[], $2::bigint[], $3::bigint[]) as wanted (level, start, stop)
join record_hash h on h.level = wanted.level and h.position >= wanted.start and h.position < wanted.stop;

-- name: measure
-- How many rows there are of leaves, and of hashes.
select (select count(*) from record_leaf) as leaf_count, (select count(*) from record_hash) as hash_count;
