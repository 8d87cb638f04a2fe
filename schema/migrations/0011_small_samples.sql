-- ANALYZE samples 300 rows a unit of statistics target, and the largest target of a table's columns counts: of what comes
-- in fast and is looked up by its keys, a tenth of the usual sample says enough. A sixth of Postgres' work on single
-- events was sorting samples.
create or replace function spare_event_statistics(partition text) returns void
language plpgsql as $$
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
end $$;

select spare_event_statistics(child.relname)
from pg_inherits i
join pg_class parent on parent.oid = i.inhparent
join pg_class child on child.oid = i.inhrelid
where parent.relnamespace = current_schema()::regnamespace
  and parent.relname ~ '^events_b[0-9]{2}$';

alter table message_ids alter column received_at set statistics 10;

-- Every group of events updates the rows of its people. Where a page has room, an update touches no index: at a fill of
-- 80 % half of the updates found none.
do $$
begin
  for r in 0..15 loop
    execute format('alter table profiles_b%s alter column traits set statistics 0, alter column trait_times set statistics 0, set (fillfactor = 50)',
      lpad(r::text, 2, '0'));
    execute format('alter table sessions_b%s set (fillfactor = 50)', lpad(r::text, 2, '0'));
  end loop;
end $$;
