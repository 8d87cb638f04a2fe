-- Events, each once. Fixed ranges of buckets (16) x weeks: retention drops partitions, a shard reads its own ranges.

-- Same rule as domain/buckets.ts bucketOf; golden vectors hold both together.
create function bucket_of(first_id text) returns smallint
language sql immutable parallel safe strict
return ((('x' || substr(encode(sha256(convert_to(first_id, 'UTF8')), 'hex'), 1, 8))::bit(32)::bigint & 4294967295) % 1024)::smallint;

-- Milliseconds since the epoch as a time, exact to the millisecond.
create function at_ms(ms bigint) returns timestamptz
language sql immutable parallel safe strict
return to_timestamp(ms::double precision / 1000);

-- Event names as small numbers. type and name together: a track named 'page' is not a page.
create table event_names (
  event_id smallint generated always as identity primary key,
  type text not null,
  name text not null,
  source_id smallint,
  first_seen timestamptz not null default now(),
  unique (type, name)
);

-- The exactly-once key: one row a message id, for as long as its event is kept. `hash` is over what the message says
-- (without times), so that the same id with another payload is seen as a conflict. See docs/adr/0002.
create table message_ids (
  id uuid primary key,
  hash bigint not null,
  received_at timestamptz not null
);
create index message_ids_received_at on message_ids using brin (received_at);

create table events (
  bucket smallint not null,
  event_id smallint not null,
  source_id smallint not null,
  marks smallint not null,
  profile_id bigint not null,
  time timestamptz not null,
  received_at timestamptz not null,
  -- minor units of currency; a purchase is 'Order Completed'
  value bigint,
  currency text,
  message_id text not null,
  user_id text,
  anonymous_id text,
  properties jsonb not null,
  -- context and all other fields, as text that is rarely read
  envelope json not null,
  -- serves the segments' scans; message_ids is what deduplicates
  primary key (profile_id, event_id, time, message_id, bucket)
) partition by range (bucket);

do $$
begin
  for r in 0..15 loop
    execute format('create table events_b%s partition of events for values from (%s) to (%s) partition by range (time)',
      lpad(r::text, 2, '0'), r * 64, r * 64 + 64);
  end loop;
end $$;

-- The Monday (UTC) of a time: weeks are named by it.
create function week_of(at timestamptz) returns date
language sql immutable parallel safe strict
return date_trunc('week', at at time zone 'UTC')::date;

-- Makes the partition of one bucket range and week when it is missing. Attaching takes a lock that does not block
-- readers or writers of other partitions; the advisory lock lets twenty callers ask for the same one.
create function ensure_event_partition(range_no integer, week date) returns boolean
language plpgsql as $$
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
  execute format('alter table %I attach partition %I for values from (%L) to (%L)',
    parent, child, week::timestamp at time zone 'UTC', (week + 7)::timestamp at time zone 'UTC');
  return true;
end $$;

-- What was accepted but could not be kept as an event: visible, counted and replayable.
create table failed_events (
  failed_id bigint generated always as identity primary key,
  -- stage, job and position: a retried job records the same failure once. Byte order, for look-ups by prefix
  failed_key text collate "C" not null unique,
  stage text not null,
  -- a code of runtime/errors.ts
  code text not null,
  reason text not null,
  sqlstate text,
  source_id smallint,
  message_id text,
  -- the event or job as it was on the queue, raw
  payload text not null,
  failed_at timestamptz not null default now(),
  replays integer not null default 0,
  replayed_at timestamptz,
  resolved_at timestamptz
);
create index failed_events_open on failed_events (stage, failed_id) where resolved_at is null;
