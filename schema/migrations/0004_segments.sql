-- Segments: rules with versions, who is in, and every entry and exit with its reason.

-- Which shard owns which buckets. Checked against the configuration at every start.
create table shard_map (
  from_bucket smallint primary key,
  to_bucket smallint not null check (to_bucket >= from_bucket),
  shard smallint not null
);

create table segments (
  segment_id integer generated always as identity primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  name text not null,
  live_version integer,
  created_at timestamptz not null default now(),
  archived_at timestamptz
);

-- Immutable: an edit is a new version; workers run the plan, never the rule.
create table segment_versions (
  segment_id integer not null references segments,
  version integer not null,
  rule jsonb not null,
  plan jsonb not null,
  rule_hash text not null,
  status text not null check (status in ('draft', 'building', 'live', 'retired')),
  author text not null default '',
  note text not null default '',
  created_at timestamptz not null default now(),
  primary key (segment_id, version)
);

create table memberships (
  bucket smallint not null,
  segment_id integer not null,
  profile_id bigint not null,
  entered_at timestamptz not null,
  version integer not null,
  -- the change that entered: once per entry
  change_id bigint not null,
  primary key (bucket, segment_id, profile_id)
) partition by range (bucket);

create sequence membership_change_numbers;
create table membership_changes (
  bucket smallint not null,
  change_id bigint not null default nextval('membership_change_numbers'),
  segment_id integer not null,
  profile_id bigint not null,
  op text not null check (op in ('enter', 'exit')),
  reason text not null check (reason in ('event', 'time', 'late', 'merged', 'erased', 'rule_changed', 'backfill')),
  version integer not null,
  -- the instant the rule flipped, not the instant it was noticed
  effective_at timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp(),
  -- null until handed to the deliver queues; a sweep sends what stays null
  announced_at timestamptz,
  primary key (bucket, change_id)
) partition by range (bucket);

-- One wake-up a profile: the earliest instant at which time alone may change one of its memberships.
create table segment_timers (
  bucket smallint not null,
  profile_id bigint not null,
  wake_at timestamptz not null,
  -- while a due timer waits in its shard's queue
  leased_until timestamptz,
  primary key (bucket, profile_id)
) partition by range (bucket);

do $$
declare t text;
begin
  foreach t in array array['memberships', 'membership_changes', 'segment_timers'] loop
    for r in 0..15 loop
      execute format('create table %s_b%s partition of %s for values from (%s) to (%s) with (fillfactor = 80)',
        t, lpad(r::text, 2, '0'), t, r * 64, r * 64 + 64);
    end loop;
  end loop;
end $$;
create index memberships_segment on memberships (segment_id, profile_id);
create index memberships_profile on memberships (profile_id);
create index membership_changes_profile on membership_changes (profile_id, change_id);
create index membership_changes_unannounced on membership_changes (recorded_at) where announced_at is null;
create index segment_timers_wake on segment_timers (wake_at);
