-- Version 1: what the first app wrote, campaigns only. Never edited; see 0002 for what became of it.
CREATE TABLE campaigns (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    firebase_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT NULL,
    rev INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE TABLE campaign_local_metas (
    doc_ref TEXT NOT NULL PRIMARY KEY,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    dirty INTEGER NOT NULL DEFAULT 0 CHECK (dirty IN (0, 1)),
    last_synced_at INTEGER NULL
);

CREATE TABLE outbox_ops (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
