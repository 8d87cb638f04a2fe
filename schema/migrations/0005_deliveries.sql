-- Campaigns and what was sent to whom. A delivery is claimed by its natural key before it is sent.

create table templates (
  template_id integer generated always as identity primary key,
  name text not null,
  channel text not null check (channel in ('push', 'email', 'webhook', 'sms')),
  -- Liquid; subject is the title of a push
  subject text not null default '',
  body text not null,
  html text,
  created_at timestamptz not null default now()
);

create table campaigns (
  campaign_id integer generated always as identity primary key,
  name text not null unique,
  -- sent once per entry into this segment
  segment_id integer not null references segments,
  status text not null default 'active' check (status in ('active', 'paused', 'archived')),
  -- entries for these reasons trigger it
  trigger_reasons text[] not null default '{event,time,late,merged}',
  created_at timestamptz not null default now()
);

create table campaign_channels (
  campaign_id integer not null references campaigns,
  channel text not null check (channel in ('push', 'email', 'webhook', 'sms')),
  template_id integer not null references templates,
  primary key (campaign_id, channel)
);

create table deliveries (
  bucket smallint not null,
  delivery_key text not null,
  channel text not null check (channel in ('push', 'email', 'webhook', 'sms')),
  campaign_id integer not null,
  profile_id bigint not null,
  change_id bigint not null,
  -- claimed -> sending -> sent | waiting (will be tried again) | failed | skipped | suppressed | unknown
  state text not null check (state in ('claimed', 'sending', 'waiting', 'sent', 'failed', 'skipped', 'suppressed', 'unknown')),
  -- raised by every claim; a late writer with an older number is refused (fencing)
  attempt integer not null default 0,
  lease_until timestamptz,
  provider_message_id text,
  reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  sent_at timestamptz,
  primary key (bucket, delivery_key)
) partition by range (bucket);

do $$
begin
  for r in 0..15 loop
    execute format('create table deliveries_b%s partition of deliveries for values from (%s) to (%s) with (fillfactor = 70)',
      lpad(r::text, 2, '0'), r * 64, r * 64 + 64);
  end loop;
end $$;
create index deliveries_profile on deliveries (profile_id, created_at);
create index deliveries_open on deliveries (updated_at) where state in ('claimed', 'sending', 'waiting');

-- Addresses that are never written to. Only a keyed hash is kept.
create table suppressions (
  channel text not null,
  address_hash bytea not null,
  reason text not null check (reason in ('unsubscribed', 'bounced', 'complained', 'manual')),
  campaign_id integer,
  created_at timestamptz not null default now(),
  primary key (channel, address_hash)
);
