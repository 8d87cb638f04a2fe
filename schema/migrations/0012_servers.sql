-- Which Postgres server has the rows of which bucket range: 0 = the one with all that is no person's row, the others in the
-- order of MILLRACE_SHARD_DATABASE_URLS. Filled by the first start. Message ids follow the first digit of their hash.
create table range_servers (
  bucket_range smallint primary key check (bucket_range between 0 and 15),
  server smallint not null check (server between 0 and 15)
);

-- Whose server this is, and which of them: compared at every start, so that addresses in another order are refused.
create table this_server (
  single boolean primary key default true check (single),
  deployment uuid not null,
  number smallint not null
);

-- Transactions over several servers: the row is written by the one on server 0, which commits last and so decides for all;
-- or it says that nobody waits for that one any more.
create table commit_decisions (
  gid text primary key,
  decision text not null check (decision in ('commit', 'abort')),
  decided_at timestamptz not null default now()
);
create index commit_decisions_decided_at on commit_decisions (decided_at);
