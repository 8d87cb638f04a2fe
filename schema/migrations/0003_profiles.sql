-- People: profiles, the ids they go by, and their sessions. All per-profile tables are split by the fixed ranges of buckets.

-- A profile's number is (sequence << 10) | bucket: whoever has the number knows the bucket, and lower means older.
create sequence profile_numbers;

create table profiles (
  bucket smallint not null,
  profile_id bigint not null,
  -- the id that fixed the bucket
  first_id text not null,
  -- the user id it is known by; null = anonymous so far
  user_id text,
  created_at timestamptz not null default now(),
  first_seen timestamptz not null,
  last_seen timestamptz not null,
  traits jsonb not null default '{}',
  -- trait -> [event time in ms, message id]: newest event time wins, ties by message id
  trait_times jsonb not null default '{}',
  -- set when it was merged away; its rows are the winner's then
  merged_into bigint,
  primary key (bucket, profile_id)
) partition by range (bucket);

-- Which profile an id means. Anonymous ids remember their earliest link to a user, so that a shared device has one
-- owner in any order of arrival.
create table identities (
  kind smallint not null check (kind in (0, 1)), -- 0 user, 1 anonymous
  value text not null,
  profile_id bigint not null,
  linked_at timestamptz,
  linked_message_id text,
  created_at timestamptz not null default now(),
  primary key (kind, value)
);
create index identities_profile on identities (profile_id);

-- Append-only: what was merged or moved into what. merge_seq is assigned under the merge lock, so it is in commit order.
create table profile_merges (
  merge_seq bigint generated always as identity primary key,
  loser_id bigint not null,
  winner_id bigint not null,
  -- null = the whole profile; otherwise only this anonymous id moved
  anonymous_id text,
  merged_at timestamptz not null default now()
);
create index profile_merges_loser on profile_merges (loser_id);
create index profile_merges_winner on profile_merges (winner_id, merged_at);

-- A session is a maximal run of a profile's events with gaps of at most 30 minutes.
create table sessions (
  bucket smallint not null,
  profile_id bigint not null,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  events integer not null,
  -- of its first event
  first_message_id text not null,
  device text,
  locale text,
  campaign text,
  landing_page text,
  country text,
  closed_at timestamptz,
  primary key (bucket, profile_id, started_at)
) partition by range (bucket) ;

create table user_aggregates (
  bucket smallint not null,
  profile_id bigint not null,
  computed_at timestamptz not null,
  events_30d integer not null,
  sessions_30d integer not null,
  orders_30d integer not null,
  -- minor units by currency, e.g. {"USD": 12345}
  revenue_30d jsonb not null,
  last_order_at timestamptz,
  primary key (bucket, profile_id)
) partition by range (bucket);

do $$
declare t text;
begin
  foreach t in array array['profiles', 'sessions', 'user_aggregates'] loop
    for r in 0..15 loop
      execute format('create table %s_b%s partition of %s for values from (%s) to (%s) with (fillfactor = 80)',
        t, lpad(r::text, 2, '0'), t, r * 64, r * 64 + 64);
    end loop;
  end loop;
end $$;
create index sessions_open on sessions (started_at) where closed_at is null;
