-- Memberships that differ from what the rule says from scratch, as the drift gauge found them: what an operator looks at. The
-- rule is kept with its answers, so that a row is a whole test case together with the person's events. At home.
create table segment_drift (
  drift_id bigint generated always as identity primary key,
  segment_id integer not null,
  version integer not null,
  profile_id bigint not null,
  -- the instant that both answers are of
  as_of timestamptz not null,
  -- from scratch
  expected boolean not null,
  -- in memberships
  stored boolean not null,
  rule jsonb not null,
  found_at timestamptz not null default now(),
  check (expected <> stored)
);
