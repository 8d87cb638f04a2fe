-- The exporter counts open failures by stage and code every half minute: from an index alone, however many rows there are.
create index failed_events_open_count on failed_events (stage, code) where resolved_at is null;
