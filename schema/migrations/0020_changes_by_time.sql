-- The entries and exits of a segment, newest first (store/segment-changes.ts).
create index membership_changes_newest on membership_changes (segment_id, recorded_at);
