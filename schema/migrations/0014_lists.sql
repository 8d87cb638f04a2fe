-- Lists of user ids, uploaded whole, that rules ask about. All at home, as identities are: a list names ids, and which
-- profile an id means is known there alone.
create table lists (
  list_id integer generated always as identity primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  -- rises with every upload that changed who is in it
  version integer not null default 0,
  members integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table list_members (
  list_id integer not null references lists on delete cascade,
  user_id text not null,
  primary key (list_id, user_id)
);
