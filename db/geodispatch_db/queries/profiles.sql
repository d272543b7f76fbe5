-- name: profile_by_slug
-- An agency as the public sees it.
-- $1 slug
select a.id, a.slug, a.name, a.kind, members_at(a.id, 'infinity') as member_count
from agency a where a.slug = $1;

-- name: agencies_page
-- Agencies by their slugs.
-- $1 after this slug, or null; $2 how many
select slug, name, kind from agency where $1::text is null or slug > $1 order by slug limit $2;
