-- Metrics: values of a person under a name, which rules compare. At home, as segments are.
create table metrics (
  metric_id integer generated always as identity primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  name text not null,
  live_version integer not null,
  -- which cut points rules go by; null = none yet
  live_cuts integer,
  -- since when cut points are kept; null = nobody asked for them
  cuts_since timestamptz,
  created_at timestamptz not null default now(),
  archived_at timestamptz
);

-- Immutable: an edit is a new version, and a new version of every segment that names the metric.
create table metric_versions (
  metric_id integer not null references metrics,
  version integer not null,
  definition jsonb not null,
  definition_hash text not null,
  author text not null default '',
  note text not null default '',
  created_at timestamptz not null default now(),
  primary key (metric_id, version)
);

-- Immutable: where the people who have a value are parted into hundreds, as of an instant. Between two of these versions a
-- quantile is a comparison with constants.
create table metric_cuts (
  metric_id integer not null references metrics,
  cut_version integer not null,
  -- which definition the values are of
  metric_version integer not null,
  as_of timestamptz not null,
  -- who has a value
  people integer not null,
  -- 99 decimals, ascending, as plans compare them: revenue in minor units
  points text[] not null check (cardinality(points) = 99),
  primary key (metric_id, cut_version),
  foreign key (metric_id, metric_version) references metric_versions (metric_id, version)
);
