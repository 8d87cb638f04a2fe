-- Made by schema/dump.ts from the migrations; do not edit. Update: npm test -- -u tests/schema

create table api_keys (
  key_id bigint generated always as identity not null,
  kind text not null,
  source_id smallint,
  name text default ''::text not null,
  key_hash bytea not null,
  last_four text not null,
  allowed_origins text[] default '{}'::text[] not null,
  allowed_ips text[] default '{}'::text[] not null,
  rate_limit_per_second integer,
  created_at timestamp with time zone default now() not null,
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  UNIQUE (key_hash),
  PRIMARY KEY (key_id),
  FOREIGN KEY (source_id) REFERENCES sources(source_id),
  CHECK (((kind = 'pub'::text) = (source_id IS NOT NULL))),
  CHECK ((kind = ANY (ARRAY['pub'::text, 'sec'::text]))),
  CHECK ((length(key_hash) = 32)),
  CHECK ((rate_limit_per_second > 0))
);

create table archive_gaps (
  batch_id text not null,
  from_received timestamp with time zone not null,
  to_received timestamp with time zone not null,
  events integer not null,
  created_at timestamp with time zone default now() not null,
  filled_at timestamp with time zone,
  PRIMARY KEY (batch_id)
);

create table asked_addresses (
  channel text not null,
  address_hash bytea not null,
  profile_id bigint not null,
  PRIMARY KEY (channel, address_hash, profile_id)
);

create table audit_log (
  audit_id bigint generated always as identity not null,
  at timestamp with time zone default now() not null,
  actor text not null,
  action text not null,
  target text default ''::text not null,
  details jsonb default '{}'::jsonb not null,
  PRIMARY KEY (audit_id)
);

create table campaign_channels (
  campaign_id integer not null,
  channel text not null,
  template_id integer not null,
  PRIMARY KEY (campaign_id, channel),
  FOREIGN KEY (campaign_id) REFERENCES campaigns(campaign_id),
  FOREIGN KEY (template_id) REFERENCES templates(template_id),
  CHECK ((channel = ANY (ARRAY['push'::text, 'email'::text, 'webhook'::text, 'sms'::text])))
);

create table campaigns (
  campaign_id integer generated always as identity not null,
  name text not null,
  segment_id integer not null,
  status text default 'active'::text not null,
  trigger_reasons text[] default '{event,time,late,merged}'::text[] not null,
  created_at timestamp with time zone default now() not null,
  UNIQUE (name),
  PRIMARY KEY (campaign_id),
  FOREIGN KEY (segment_id) REFERENCES segments(segment_id),
  CHECK ((status = ANY (ARRAY['active'::text, 'paused'::text, 'archived'::text])))
);

create table commit_decisions (
  gid text not null,
  decision text not null,
  decided_at timestamp with time zone default now() not null,
  PRIMARY KEY (gid),
  CHECK ((decision = ANY (ARRAY['commit'::text, 'abort'::text])))
);

create table dashboard_users (
  user_id integer generated always as identity not null,
  name text not null,
  password_hash text not null,
  role text not null,
  created_at timestamp with time zone default now() not null,
  UNIQUE (name),
  PRIMARY KEY (user_id),
  CHECK ((role = ANY (ARRAY['admin'::text, 'operator'::text, 'viewer'::text])))
);

create table deliveries (
  bucket smallint not null,
  delivery_key text not null,
  channel text not null,
  campaign_id integer not null,
  profile_id bigint not null,
  change_id bigint not null,
  state text not null,
  attempt integer default 0 not null,
  lease_until timestamp with time zone,
  provider_message_id text,
  reason text,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  sent_at timestamp with time zone,
  PRIMARY KEY (bucket, delivery_key),
  CHECK ((channel = ANY (ARRAY['push'::text, 'email'::text, 'webhook'::text, 'sms'::text]))),
  CHECK ((state = ANY (ARRAY['claimed'::text, 'sending'::text, 'waiting'::text, 'sent'::text, 'failed'::text, 'skipped'::text, 'suppressed'::text, 'unknown'::text])))
) partition by RANGE (bucket);

create table event_names (
  event_id smallint generated always as identity not null,
  type text not null,
  name text not null,
  source_id smallint,
  first_seen timestamp with time zone default now() not null,
  UNIQUE (type, name),
  PRIMARY KEY (event_id)
);

create table events (
  bucket smallint not null,
  event_id smallint not null,
  source_id smallint not null,
  marks smallint not null,
  profile_id bigint not null,
  time timestamp with time zone not null,
  received_at timestamp with time zone not null,
  value bigint,
  currency text,
  message_id text not null,
  user_id text,
  anonymous_id text,
  properties jsonb not null,
  envelope json not null,
  PRIMARY KEY (profile_id, event_id, "time", message_id, bucket)
) partition by RANGE (bucket);

create table failed_events (
  failed_id bigint generated always as identity not null,
  failed_key text not null,
  stage text not null,
  code text not null,
  reason text not null,
  sqlstate text,
  source_id smallint,
  message_id text,
  payload text not null,
  failed_at timestamp with time zone default now() not null,
  replays integer default 0 not null,
  replayed_at timestamp with time zone,
  resolved_at timestamp with time zone,
  UNIQUE (failed_key),
  PRIMARY KEY (failed_id)
);

create table idempotency_keys (
  key_hash bytea not null,
  body_hash bytea not null,
  status integer,
  response jsonb,
  created_at timestamp with time zone default now() not null,
  PRIMARY KEY (key_hash)
);

create table identities (
  kind smallint not null,
  value text not null,
  profile_id bigint not null,
  linked_at timestamp with time zone,
  linked_message_id text,
  created_at timestamp with time zone default now() not null,
  PRIMARY KEY (kind, value),
  CHECK ((kind = ANY (ARRAY[0, 1])))
);

create table list_members (
  list_id integer not null,
  user_id text not null,
  PRIMARY KEY (list_id, user_id),
  FOREIGN KEY (list_id) REFERENCES lists(list_id) ON DELETE CASCADE
);

create table lists (
  list_id integer generated always as identity not null,
  slug text not null,
  version integer default 0 not null,
  members integer default 0 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  UNIQUE (slug),
  PRIMARY KEY (list_id),
  CHECK ((slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'::text))
);

create table membership_changes (
  bucket smallint not null,
  change_id bigint default nextval('membership_change_numbers'::regclass) not null,
  segment_id integer not null,
  profile_id bigint not null,
  op text not null,
  reason text not null,
  version integer not null,
  effective_at timestamp with time zone not null,
  recorded_at timestamp with time zone default clock_timestamp() not null,
  announced_at timestamp with time zone,
  metrics jsonb,
  PRIMARY KEY (bucket, change_id),
  CHECK ((op = ANY (ARRAY['enter'::text, 'exit'::text]))),
  CHECK ((reason = ANY (ARRAY['event'::text, 'time'::text, 'late'::text, 'merged'::text, 'erased'::text, 'rule_changed'::text, 'backfill'::text])))
) partition by RANGE (bucket);

create table memberships (
  bucket smallint not null,
  segment_id integer not null,
  profile_id bigint not null,
  entered_at timestamp with time zone not null,
  version integer not null,
  change_id bigint not null,
  PRIMARY KEY (bucket, segment_id, profile_id)
) partition by RANGE (bucket);

create table message_ids (
  id uuid not null,
  hash bigint not null,
  received_at timestamp with time zone not null,
  PRIMARY KEY (id)
);

create table metric_cuts (
  metric_id integer not null,
  cut_version integer not null,
  metric_version integer not null,
  as_of timestamp with time zone not null,
  people integer not null,
  points text[] not null,
  PRIMARY KEY (metric_id, cut_version),
  FOREIGN KEY (metric_id) REFERENCES metrics(metric_id),
  FOREIGN KEY (metric_id, metric_version) REFERENCES metric_versions(metric_id, version),
  CHECK ((cardinality(points) = 99))
);

create table metric_versions (
  metric_id integer not null,
  version integer not null,
  definition jsonb not null,
  definition_hash text not null,
  author text default ''::text not null,
  note text default ''::text not null,
  created_at timestamp with time zone default now() not null,
  PRIMARY KEY (metric_id, version),
  FOREIGN KEY (metric_id) REFERENCES metrics(metric_id)
);

create table metrics (
  metric_id integer generated always as identity not null,
  slug text not null,
  name text not null,
  live_version integer not null,
  live_cuts integer,
  cuts_since timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  archived_at timestamp with time zone,
  UNIQUE (slug),
  PRIMARY KEY (metric_id),
  CHECK ((slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'::text))
);

create table profile_merges (
  merge_seq bigint generated always as identity not null,
  loser_id bigint not null,
  winner_id bigint not null,
  anonymous_id text,
  merged_at timestamp with time zone default now() not null,
  PRIMARY KEY (merge_seq)
);

create table profiles (
  bucket smallint not null,
  profile_id bigint not null,
  first_id text not null,
  user_id text,
  created_at timestamp with time zone default now() not null,
  first_seen timestamp with time zone not null,
  last_seen timestamp with time zone not null,
  traits jsonb default '{}'::jsonb not null,
  trait_times jsonb default '{}'::jsonb not null,
  merged_into bigint,
  PRIMARY KEY (bucket, profile_id)
) partition by RANGE (bucket);

create table range_servers (
  bucket_range smallint not null,
  server smallint not null,
  PRIMARY KEY (bucket_range),
  CHECK (((bucket_range >= 0) AND (bucket_range <= 15))),
  CHECK (((server >= 0) AND (server <= 15)))
);

create table schedule_runs (
  run_id bigint generated always as identity not null,
  task text not null,
  started_at timestamp with time zone default now() not null,
  lease_until timestamp with time zone,
  finished_at timestamp with time zone,
  outcome text,
  counts jsonb default '{}'::jsonb not null,
  error text,
  PRIMARY KEY (run_id),
  CHECK ((outcome = ANY (ARRAY['done'::text, 'failed'::text])))
);

create table schema_migrations (
  version integer not null,
  name text not null,
  applied_at timestamp with time zone default now() not null,
  PRIMARY KEY (version)
);

create table segment_drift (
  drift_id bigint generated always as identity not null,
  segment_id integer not null,
  version integer not null,
  profile_id bigint not null,
  as_of timestamp with time zone not null,
  expected boolean not null,
  stored boolean not null,
  rule jsonb not null,
  found_at timestamp with time zone default now() not null,
  PRIMARY KEY (drift_id),
  CHECK ((expected <> stored))
);

create table segment_passes (
  as_of timestamp(3) with time zone not null,
  pass_id bigint not null,
  shards smallint[] not null,
  reasons text[] not null,
  profiles integer not null,
  evaluated integer not null,
  segments integer not null,
  pairs integer not null,
  entered integer not null,
  exited integer not null,
  duration_ms real not null,
  lag_ms bigint,
  PRIMARY KEY (as_of, pass_id)
);

create table segment_run_parts (
  run_id bigint not null,
  part smallint not null,
  bucket_from smallint not null,
  bucket_to smallint not null,
  after_profile_id bigint,
  evaluated integer default 0 not null,
  entered integer default 0 not null,
  exited integer default 0 not null,
  is_done boolean default false not null,
  updated_at timestamp with time zone default clock_timestamp() not null,
  PRIMARY KEY (run_id, part),
  FOREIGN KEY (run_id) REFERENCES segment_runs(run_id) ON DELETE CASCADE
);

create table segment_runs (
  run_id bigint generated always as identity not null,
  segment_id integer,
  list_id integer,
  version integer not null,
  reason text not null,
  source text not null,
  segment_ids integer[] not null,
  state text not null,
  created_at timestamp with time zone default clock_timestamp() not null,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  PRIMARY KEY (run_id),
  FOREIGN KEY (list_id) REFERENCES lists(list_id) ON DELETE CASCADE,
  FOREIGN KEY (segment_id) REFERENCES segments(segment_id),
  CHECK ((num_nonnulls(segment_id, list_id) = 1)),
  CHECK ((reason = ANY (ARRAY['backfill'::text, 'rule_changed'::text]))),
  CHECK ((source = ANY (ARRAY['everybody'::text, 'difference'::text]))),
  CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'done'::text, 'superseded'::text])))
);

create table segment_timers (
  bucket smallint not null,
  profile_id bigint not null,
  wake_at timestamp with time zone not null,
  leased_until timestamp with time zone,
  PRIMARY KEY (bucket, profile_id)
) partition by RANGE (bucket);

create table segment_versions (
  segment_id integer not null,
  version integer not null,
  rule jsonb not null,
  plan jsonb not null,
  rule_hash text not null,
  status text not null,
  author text default ''::text not null,
  note text default ''::text not null,
  created_at timestamp with time zone default now() not null,
  PRIMARY KEY (segment_id, version),
  FOREIGN KEY (segment_id) REFERENCES segments(segment_id),
  CHECK ((status = ANY (ARRAY['draft'::text, 'building'::text, 'live'::text, 'retired'::text])))
);

create table segments (
  segment_id integer generated always as identity not null,
  slug text not null,
  name text not null,
  live_version integer,
  created_at timestamp with time zone default now() not null,
  archived_at timestamp with time zone,
  shadow_version integer,
  shadow_until timestamp with time zone,
  schedule jsonb,
  schedule_kept_at timestamp with time zone,
  UNIQUE (slug),
  PRIMARY KEY (segment_id),
  CHECK ((slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'::text))
);

create table sessions (
  bucket smallint not null,
  profile_id bigint not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone not null,
  events integer not null,
  first_message_id text not null,
  device text,
  locale text,
  campaign text,
  landing_page text,
  country text,
  closed_at timestamp with time zone,
  PRIMARY KEY (bucket, profile_id, started_at)
) partition by RANGE (bucket);

create table settings (
  name text not null,
  value jsonb not null,
  created_at timestamp with time zone default now() not null,
  PRIMARY KEY (name)
);

create table shard_map (
  from_bucket smallint not null,
  to_bucket smallint not null,
  shard smallint not null,
  PRIMARY KEY (from_bucket),
  CHECK ((to_bucket >= from_bucket))
);

create table shard_map_changes (
  change_id integer generated always as identity not null,
  shards smallint not null,
  changed_at timestamp with time zone default now() not null,
  PRIMARY KEY (change_id),
  CHECK (((shards >= 1) AND (shards <= 1024)))
);

create table sources (
  source_id smallint generated always as identity not null,
  name text not null,
  accept_events_since timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  UNIQUE (name),
  PRIMARY KEY (source_id),
  CHECK (((length(name) >= 1) AND (length(name) <= 100)))
);

create table suppression_changes (
  channel text not null,
  address_hash bytea not null,
  changed_at timestamp with time zone default clock_timestamp() not null,
  PRIMARY KEY (channel, address_hash)
);

create table suppressions (
  channel text not null,
  address_hash bytea not null,
  reason text not null,
  campaign_id integer,
  created_at timestamp with time zone default now() not null,
  PRIMARY KEY (channel, address_hash),
  CHECK ((reason = ANY (ARRAY['unsubscribed'::text, 'bounced'::text, 'complained'::text, 'manual'::text])))
);

create table templates (
  template_id integer generated always as identity not null,
  name text not null,
  channel text not null,
  subject text default ''::text not null,
  body text not null,
  html text,
  created_at timestamp with time zone default now() not null,
  PRIMARY KEY (template_id),
  CHECK ((channel = ANY (ARRAY['push'::text, 'email'::text, 'webhook'::text, 'sms'::text])))
);

create table this_server (
  single boolean default true not null,
  deployment uuid not null,
  number smallint not null,
  PRIMARY KEY (single),
  CHECK (single)
);

create table user_aggregates (
  bucket smallint not null,
  profile_id bigint not null,
  computed_at timestamp with time zone not null,
  events_30d integer not null,
  sessions_30d integer not null,
  orders_30d integer not null,
  revenue_30d jsonb not null,
  last_order_at timestamp with time zone,
  PRIMARY KEY (bucket, profile_id)
) partition by RANGE (bucket);

CREATE INDEX archive_gaps_open ON archive_gaps USING btree (from_received) WHERE (filled_at IS NULL);

CREATE INDEX commit_decisions_decided_at ON commit_decisions USING btree (decided_at);

CREATE INDEX deliveries_newest ON ONLY deliveries USING btree (created_at, delivery_key);

CREATE INDEX deliveries_open ON ONLY deliveries USING btree (updated_at) WHERE (state = ANY (ARRAY['claimed'::text, 'sending'::text, 'waiting'::text]));

CREATE INDEX deliveries_profile ON ONLY deliveries USING btree (profile_id, created_at);

CREATE INDEX failed_events_open ON failed_events USING btree (stage, failed_id) WHERE (resolved_at IS NULL);

CREATE INDEX failed_events_open_count ON failed_events USING btree (stage, code) WHERE (resolved_at IS NULL);

CREATE INDEX identities_profile ON identities USING btree (profile_id);

CREATE INDEX membership_changes_lock ON ONLY membership_changes USING btree (((bucket >> 3)), change_id);

CREATE INDEX membership_changes_newest ON ONLY membership_changes USING btree (segment_id, recorded_at);

CREATE INDEX membership_changes_profile ON ONLY membership_changes USING btree (profile_id, change_id);

CREATE INDEX membership_changes_segment ON ONLY membership_changes USING btree (segment_id, profile_id, change_id);

CREATE INDEX membership_changes_unannounced ON ONLY membership_changes USING btree (recorded_at) WHERE (announced_at IS NULL);

CREATE INDEX memberships_profile ON ONLY memberships USING btree (profile_id);

CREATE INDEX memberships_segment ON ONLY memberships USING btree (segment_id, profile_id);

CREATE INDEX message_ids_received_at ON message_ids USING brin (received_at);

CREATE INDEX profile_merges_loser ON profile_merges USING btree (loser_id);

CREATE INDEX profile_merges_winner ON profile_merges USING btree (winner_id, merged_at);

CREATE INDEX schedule_runs_task ON schedule_runs USING btree (task, run_id);

CREATE INDEX segment_runs_of_list ON segment_runs USING btree (list_id, run_id);

CREATE INDEX segment_runs_of_segment ON segment_runs USING btree (segment_id, run_id);

CREATE INDEX segment_runs_open ON segment_runs USING btree (run_id) WHERE (state = ANY (ARRAY['waiting'::text, 'running'::text]));

CREATE INDEX segment_timers_wake ON ONLY segment_timers USING btree (wake_at);

CREATE INDEX sessions_open ON ONLY sessions USING btree (started_at) WHERE (closed_at IS NULL);

CREATE UNIQUE INDEX schedule_runs_running ON schedule_runs USING btree (task) WHERE (finished_at IS NULL);

CREATE OR REPLACE FUNCTION at_ms(ms bigint)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN to_timestamp(((ms)::double precision / (1000)::double precision));

CREATE OR REPLACE FUNCTION bucket_of(first_id text)
 RETURNS smallint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN (((((('x'::text || substr(encode(sha256(convert_to(first_id, 'UTF8'::name)), 'hex'::text), 1, 8)))::bit(32))::bigint & '4294967295'::bigint) % (1024)::bigint))::smallint;

CREATE OR REPLACE FUNCTION ensure_event_partition(range_no integer, week date)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
declare
  parent text := 'events_b' || lpad(range_no::text, 2, '0');
  child text := parent || '_' || to_char(week, 'YYYYMMDD');
begin
  if to_regclass(child) is not null then return false; end if;
  perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.' || parent, 0));
  -- a query of its own snapshot: waiting for an advisory lock does not refresh what to_regclass has cached
  if exists (select 1 from pg_class where relname = child and relnamespace = current_schema()::regnamespace) then
    return false;
  end if;
  execute format('create table %I (like %I including defaults including constraints including indexes)', child, parent);
  execute format('create index on %I using brin (received_at)', child);
  perform spare_event_statistics(child);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)',
    parent, child, week::timestamp at time zone 'UTC', (week + 7)::timestamp at time zone 'UTC');
  return true;
end $function$;

CREATE OR REPLACE FUNCTION spare_event_statistics(partition text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  execute format(
    'alter table %I
       alter column bucket set statistics 10,
       alter column event_id set statistics 10,
       alter column source_id set statistics 10,
       alter column marks set statistics 10,
       alter column profile_id set statistics 10,
       alter column time set statistics 10,
       alter column received_at set statistics 10,
       alter column value set statistics 10,
       alter column currency set statistics 10,
       alter column message_id set statistics 0,
       alter column user_id set statistics 0,
       alter column anonymous_id set statistics 0,
       alter column properties set statistics 0,
       alter column envelope set statistics 0,
       set (autovacuum_analyze_scale_factor = 0.5)', partition);
end $function$;

CREATE OR REPLACE FUNCTION week_of(at timestamp with time zone)
 RETURNS date
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN (date_trunc('week'::text, (at AT TIME ZONE 'UTC'::text)))::date;
