-- Sources (what sends) and keys (how it proves it). Keys are stored hashed only.

create table sources (
  source_id smallint generated always as identity primary key,
  name text not null unique check (length(name) between 1 and 100),
  -- events older than this are refused with their reason; null = the retention of the deployment
  accept_events_since timestamptz,
  created_at timestamptz not null default now()
);

create table api_keys (
  key_id bigint generated always as identity primary key,
  -- pub = write only, may sit in an app; sec = server: read and admin
  kind text not null check (kind in ('pub', 'sec')),
  source_id smallint references sources,
  name text not null default '',
  -- SHA-256 of the whole key; 128 random bits need no salt
  key_hash bytea not null unique check (length(key_hash) = 32),
  last_four text not null,
  allowed_origins text[] not null default '{}',
  allowed_ips text[] not null default '{}',
  -- events a second; null = no limit of its own
  rate_limit_per_second integer check (rate_limit_per_second > 0),
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  check ((kind = 'pub') = (source_id is not null))
);
