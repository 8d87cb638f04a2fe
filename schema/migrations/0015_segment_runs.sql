-- Runs: everybody, or those whom an edit would move, evaluated again for some segments, part by part and chunk by chunk.
-- They replace the marks of open backfills.
alter table segments
  drop column backfill_change,
  drop column backfill_since,
  -- evaluated beside the live version, its members under the negative number of the segment: a draft, or the version
  -- before, kept for a way back
  add column shadow_version integer,
  -- when a way back is given up; null = never
  add column shadow_until timestamptz,
  -- when it is evaluated from scratch besides, {"cron": "0 6 * * *", "timeZone": "Europe/Berlin"}
  add column schedule jsonb,
  -- until when that schedule has been kept
  add column schedule_kept_at timestamptz;

create table segment_runs (
  run_id bigint generated always as identity primary key,
  -- what has changed; a run belongs to one of the two
  segment_id integer references segments,
  list_id integer references lists on delete cascade,
  -- of the segment or list
  version integer not null,
  -- what entries and exits that it finds are put down to
  reason text not null check (reason in ('backfill', 'rule_changed')),
  source text not null check (source in ('everybody', 'difference')),
  -- what is evaluated; a negative number is a shadow
  segment_ids integer[] not null,
  state text not null check (state in ('waiting', 'running', 'done', 'superseded')),
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  finished_at timestamptz,
  check (num_nonnulls(segment_id, list_id) = 1)
);
create index segment_runs_open on segment_runs (run_id) where state in ('waiting', 'running');
create index segment_runs_of_segment on segment_runs (segment_id, run_id);
create index segment_runs_of_list on segment_runs (list_id, run_id);

create table segment_run_parts (
  run_id bigint not null references segment_runs on delete cascade,
  part smallint not null,
  bucket_from smallint not null,
  bucket_to smallint not null,
  -- everybody up to here, by bucket and number, has been evaluated; null = nobody
  after_profile_id bigint,
  evaluated integer not null default 0,
  entered integer not null default 0,
  exited integer not null default 0,
  is_done boolean not null default false,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (run_id, part)
);
