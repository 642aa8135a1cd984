-- One row: which cloud this is, and the latest time that it gave to anything.
CREATE TABLE cloud (
    key INTEGER PRIMARY KEY CHECK (key = 1),
    id TEXT NOT NULL,
    last_time INTEGER NOT NULL
) STRICT;

-- Times are microseconds since the Unix epoch. updated_at and campaign_id repeat what is in fields.
CREATE TABLE documents (
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    update_time INTEGER NOT NULL,
    updated_at INTEGER,
    campaign_id TEXT,
    fields TEXT NOT NULL,
    PRIMARY KEY (collection, id)
) STRICT;

CREATE INDEX documents_by_time ON documents (collection, updated_at, id) WHERE updated_at IS NOT NULL;
