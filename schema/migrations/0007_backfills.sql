-- Everybody is evaluated again after a segment changed; what is still to be handed to the segment pool is marked here.
alter table segments
  -- which change ('v2': version 2 came, 'a2': archived at version 2) has profiles left to name; null = none
  add column backfill_change text,
  add column backfill_since timestamptz;

-- Deliveries of everybody, newest first, a page at a time.
create index deliveries_newest on deliveries (created_at, delivery_key);
