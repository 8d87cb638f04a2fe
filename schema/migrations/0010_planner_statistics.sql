-- Statistics only of columns the planner is asked about, and half as often: autovacuum spent more time on sorting the
-- JSON of new events than all pools together spent in Postgres. Partitions take these settings from here, not from
-- their parent.
create or replace function ensure_event_partition(range_no integer, week date) returns boolean
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
  perform spare_event_statistics(child);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)',
    parent, child, week::timestamp at time zone 'UTC', (week + 7)::timestamp at time zone 'UTC');
  return true;
end $$;

create function spare_event_statistics(partition text) returns void
language plpgsql as $$
begin
  execute format(
    'alter table %I
       alter column message_id set statistics 0,
       alter column properties set statistics 0,
       alter column envelope set statistics 0,
       set (autovacuum_analyze_scale_factor = 0.5)', partition);
end $$;

select spare_event_statistics(child.relname)
from pg_inherits i
join pg_class parent on parent.oid = i.inhparent
join pg_class child on child.oid = i.inhrelid
where parent.relnamespace = current_schema()::regnamespace
  and parent.relname ~ '^events_b[0-9]{2}$';

-- its key is looked up, never ranged over
alter table message_ids
  alter column id set statistics 0,
  alter column hash set statistics 0,
  set (autovacuum_analyze_scale_factor = 0.5);
