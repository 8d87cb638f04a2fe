-- Who was in a segment at a date, as known then: the newest change of each profile before it.
create index membership_changes_segment on membership_changes (segment_id, profile_id, change_id);
