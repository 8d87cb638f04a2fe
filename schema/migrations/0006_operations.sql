-- What operators look at: clock runs, archive gaps and loads, dashboard users, audit, idempotent admin requests.

create table schedule_runs (
  run_id bigint generated always as identity primary key,
  task text not null,
  started_at timestamptz not null default now(),
  -- extended by the process that runs it, so that another may take over when that one dies
  lease_until timestamptz,
  finished_at timestamptz,
  outcome text check (outcome in ('done', 'failed')),
  counts jsonb not null default '{}',
  error text
);
create index schedule_runs_task on schedule_runs (task, run_id);
-- the row is the lock: one run of a task at a time
create unique index schedule_runs_running on schedule_runs (task) where finished_at is null;

-- Batches that ingest did not put on the archive queue because it was over its budget: read back from events later.
create table archive_gaps (
  batch_id text primary key,
  from_received timestamptz not null,
  to_received timestamptz not null,
  events integer not null,
  created_at timestamptz not null default now(),
  filled_at timestamptz
);
create index archive_gaps_open on archive_gaps (from_received) where filled_at is null;

create table dashboard_users (
  user_id integer generated always as identity primary key,
  name text not null unique,
  -- scrypt$N$r$p$salt$hash
  password_hash text not null,
  role text not null check (role in ('admin', 'operator', 'viewer')),
  created_at timestamptz not null default now()
);

create table audit_log (
  audit_id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  target text not null default '',
  details jsonb not null default '{}'
);

create table idempotency_keys (
  key_hash bytea primary key,
  body_hash bytea not null,
  -- null while the first request is in flight
  status integer,
  response jsonb,
  created_at timestamptz not null default now()
);

-- Things a deployment makes once and keeps: secrets made at first start, the demo's anchor.
create table settings (
  name text primary key,
  value jsonb not null,
  created_at timestamptz not null default now()
);
