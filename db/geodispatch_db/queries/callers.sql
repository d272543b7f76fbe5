-- name: caller_keys
-- The keys of the codes that say whom a transaction acts for.
select inner_key, outer_key from caller_key;

-- name: act_for
-- Say whom this transaction acts for, with the code that proves it.
-- $1 both
select set_config('geodispatch.caller', $1, true);
