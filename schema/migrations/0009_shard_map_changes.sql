-- Every number of shards this deployment has had: whoever finds jobs on queues of a larger one knows how far to look.
create table shard_map_changes (
  change_id integer generated always as identity primary key,
  shards smallint not null check (shards between 1 and 1024),
  changed_at timestamptz not null default now()
);
insert into shard_map_changes (shards) select count(distinct shard) from shard_map having count(*) > 0;
