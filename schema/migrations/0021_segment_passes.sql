-- Every pass over the people of some shards, written in the pass's own transaction: a pass that was rolled back has no row. On the
-- server of these people. Many come every second, so a row is small, and goes after two days.
create sequence segment_pass_numbers;
create table segment_passes (
  -- the instant that the people were decided for
  as_of timestamptz(3) not null,
  -- unique among all servers: the sequence of this one, times 16, and the first bucket range of the pass, which is on no other
  pass_id bigint not null,
  shards smallint[] not null,
  -- what the people were touched by
  reasons text[] not null,
  -- people that were named
  profiles integer not null,
  -- of these, people with something new that a segment asks for
  evaluated integer not null,
  segments integer not null,
  -- person and segment, decided; all others of profiles x segments were left out, as nothing they ask for was new
  pairs integer not null,
  entered integer not null,
  exited integer not null,
  -- until just before the commit
  duration_ms real not null,
  -- from the earliest receipt behind it to as_of; null for runs
  lag_ms bigint,
  primary key (as_of, pass_id)
);
