-- What decided a change; null = nothing was kept.
alter table membership_changes add column metrics jsonb;

-- The order a feed reads in: of eight buckets, by number. Who writes their changes holds their lock from before the number is
-- given until after the commit, so within them numbers rise as transactions commit (store/feed.ts).
create index membership_changes_lock on membership_changes ((bucket >> 3), change_id);

-- read with its row, never asked about
do $$
begin
  for r in 0..15 loop
    execute format('alter table membership_changes_b%s alter column metrics set statistics 0', lpad(r::text, 2, '0'));
  end loop;
end $$;
