-- Rules on consent ask whether an address may be written to. Who must be looked at again when that changes: an address is
-- kept as a keyed hash only, so it cannot be searched for among traits.
create table asked_addresses (
  channel text not null,
  address_hash bytea not null,
  profile_id bigint not null,
  primary key (channel, address_hash, profile_id)
);

-- Written with the change of a suppression, and deleted once whom it concerns is named to be evaluated.
create table suppression_changes (
  channel text not null,
  address_hash bytea not null,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (channel, address_hash)
);
