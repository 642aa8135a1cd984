-- Version 2: every model, one table each, with one set of sync metadata, outbox, checkpoints and journal for all.
--
-- A document's row is its view: the last version known from the remote with the rows of the outbox folded over it. `body` is
-- the model's JSON without `id` and the fields of the sync protocol; the generated columns are for lists and for people who
-- open the file with a tool of their own. Times are microseconds since 1970, UTC.

-- Only what version 1 itself made is touched. What a user or another program added to these tables (columns, references to
-- them, views, triggers) the store has put aside before this runs, with tables whose names are taken below: see `aside.rs`.
-- (A rename would look through every view and trigger of the file, and fail where one of them is broken.)
CREATE TABLE carried_campaigns AS SELECT * FROM campaigns ORDER BY id;
CREATE TABLE carried_outbox_ops AS SELECT * FROM outbox_ops ORDER BY id;
CREATE TABLE carried_numbers AS SELECT seq FROM sqlite_sequence WHERE name = 'outbox_ops';
DROP TABLE campaigns;
DROP TABLE outbox_ops;

CREATE TABLE campaigns (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    name AS (json_extract(body, '$.name')) VIRTUAL
);
CREATE INDEX campaigns_name ON campaigns (name, id);
CREATE INDEX campaigns_updated ON campaigns (updated_at, id);

CREATE TABLE adventures (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    name AS (json_extract(body, '$.name')) VIRTUAL,
    sort_order AS (json_extract(body, '$.order')) VIRTUAL
);
CREATE INDEX adventures_campaign ON adventures (campaign_id, sort_order, id);
CREATE INDEX adventures_updated ON adventures (updated_at, id);

CREATE TABLE chapters (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    adventure_id AS (json_extract(body, '$.adventureId')) VIRTUAL,
    name AS (json_extract(body, '$.name')) VIRTUAL,
    sort_order AS (json_extract(body, '$.order')) VIRTUAL
);
CREATE INDEX chapters_campaign ON chapters (campaign_id, sort_order, id);
CREATE INDEX chapters_parent ON chapters (adventure_id, sort_order, id);
CREATE INDEX chapters_updated ON chapters (updated_at, id);

CREATE TABLE scenes (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    chapter_id AS (json_extract(body, '$.chapterId')) VIRTUAL,
    title AS (json_extract(body, '$.title')) VIRTUAL,
    sort_order AS (json_extract(body, '$.order')) VIRTUAL
);
CREATE INDEX scenes_campaign ON scenes (campaign_id, sort_order, id);
CREATE INDEX scenes_parent ON scenes (chapter_id, sort_order, id);
CREATE INDEX scenes_updated ON scenes (updated_at, id);

CREATE TABLE entities (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    name AS (json_extract(body, '$.name')) VIRTUAL,
    kind AS (json_extract(body, '$.kind')) VIRTUAL
);
CREATE INDEX entities_campaign ON entities (campaign_id, name, id);
CREATE INDEX entities_updated ON entities (updated_at, id);

CREATE TABLE encounters (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    name AS (json_extract(body, '$.name')) VIRTUAL
);
CREATE INDEX encounters_campaign ON encounters (campaign_id, name, id);
CREATE INDEX encounters_updated ON encounters (updated_at, id);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    title AS (json_extract(body, '$.title')) VIRTUAL
);
CREATE INDEX sessions_campaign ON sessions (campaign_id, title, id);
CREATE INDEX sessions_updated ON sessions (updated_at, id);

CREATE TABLE media_assets (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    filename AS (json_extract(body, '$.filename')) VIRTUAL
);
CREATE INDEX media_assets_campaign ON media_assets (campaign_id, filename, id);
CREATE INDEX media_assets_updated ON media_assets (updated_at, id);

CREATE TABLE secrets (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    target AS (json_extract(body, '$.target')) VIRTUAL
);
CREATE INDEX secrets_campaign ON secrets (campaign_id, target, id);
CREATE INDEX secrets_updated ON secrets (updated_at, id);

-- Documents of the collections that an app registers.
CREATE TABLE documents (
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    rev INTEGER,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_id TEXT,
    campaign_id AS (json_extract(body, '$.campaignId')) VIRTUAL,
    PRIMARY KEY (collection, id)
);
CREATE INDEX documents_campaign ON documents (collection, campaign_id, id);
CREATE INDEX documents_updated ON documents (collection, updated_at, id);

-- What is known of a document's state at the remote. `base_state`: nothing is there (`absent`), not looked yet (`unknown`), or
-- a version (`known`), whose envelope (rev, edited, writers, …) is kept here and whose fields are `base` while the document is
-- dirty, else the row's own body.
CREATE TABLE local_metas (
    doc_ref TEXT NOT NULL PRIMARY KEY,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    dirty INTEGER NOT NULL DEFAULT 0 CHECK (dirty IN (0, 1)),
    last_synced_at INTEGER,
    base_state TEXT NOT NULL CHECK (base_state IN ('absent', 'unknown', 'known')),
    synced_rev INTEGER,
    synced_update_time INTEGER,
    synced_updated_at INTEGER,
    envelope TEXT,
    base TEXT,
    settled TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX local_metas_dirty ON local_metas (collection, doc_id) WHERE dirty = 1;

-- Edits on their way. `n` never comes again, also after a row is gone. A row of the operation `call` is no edit: `collection`
-- is `~` and the name of its executor, which no document's collection can be, and `doc_id` its lane. After a failed try it
-- waits until `retry_at`, and no longer than `retry_span` microseconds, should the clock jump.
CREATE TABLE outbox_ops (
    n INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    incarnation TEXT NOT NULL,
    op_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    payload TEXT NOT NULL,
    edited_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0 CHECK (sent IN (0, 1)),
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'parked')),
    reason TEXT,
    error TEXT,
    retry_at INTEGER,
    retry_span INTEGER
);
CREATE INDEX outbox_ops_doc ON outbox_ops (collection, doc_id, n);

-- Copies of this file: the open one, and those that were closed when a copy was noticed.
CREATE TABLE incarnations (
    incarnation TEXT NOT NULL PRIMARY KEY,
    minted_at INTEGER NOT NULL,
    closed_at_n INTEGER
);

CREATE TABLE identity (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- How far each collection of each campaign was read: a fast cursor, a settled one, and the check that is owed between them.
CREATE TABLE checkpoints (
    collection TEXT NOT NULL,
    campaign_id TEXT NOT NULL,
    fast_at INTEGER,
    fast_id TEXT,
    settled_at INTEGER,
    owed_at INTEGER,
    owed_since INTEGER,
    reconciled_at INTEGER,
    listed_at INTEGER,
    PRIMARY KEY (collection, campaign_id)
) WITHOUT ROWID;

-- Parts of the cloud that this device holds; where none is joined, it holds everything that its account may see. One that was
-- synced by itself and not joined is here too, for the time alone. `*` stands for everything.
CREATE TABLE scopes (
    scope TEXT NOT NULL PRIMARY KEY,
    joined_at INTEGER,
    synced_at INTEGER
) WITHOUT ROWID;

-- Which of the joined scopes hold a document. Of a scope that holds what was opened here: when it was, or null for what is
-- linked to by that; such a document may still have to be fetched, and `missing_at` is when it wasn't there, or closed.
CREATE TABLE doc_scopes (
    doc_ref TEXT NOT NULL,
    scope TEXT NOT NULL REFERENCES scopes (scope) ON DELETE CASCADE,
    opened_at INTEGER,
    missing_at INTEGER,
    PRIMARY KEY (doc_ref, scope)
) WITHOUT ROWID;
CREATE INDEX doc_scopes_scope ON doc_scopes (scope, doc_ref);

CREATE TABLE conflicts (
    conflict_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    entry TEXT NOT NULL,
    at INTEGER NOT NULL,
    resolved_at INTEGER
);
CREATE INDEX conflicts_doc ON conflicts (collection, doc_id);

-- Remote documents that this version can't read, as they came.
CREATE TABLE quarantine (
    doc_ref TEXT NOT NULL PRIMARY KEY,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    update_time INTEGER NOT NULL,
    raw TEXT NOT NULL,
    error TEXT NOT NULL,
    at INTEGER NOT NULL
);

-- Version 1's content. Its dates are Unix seconds, or ISO 8601 text; one that is neither counts as 0. Its revs were never the
-- remote's: shown, not sent. Payloads come as they are: the store brings them to this version's form at the first opening.
UPDATE carried_campaigns SET updated_at =
    coalesce(CASE typeof(updated_at) WHEN 'text' THEN unixepoch(updated_at) ELSE CAST(updated_at AS INTEGER) END, 0);
UPDATE carried_campaigns SET updated_at = 0
WHERE CAST(updated_at AS INTEGER) NOT BETWEEN -62135596800 AND 253402300799;
UPDATE carried_outbox_ops SET created_at =
    coalesce(CASE typeof(created_at) WHEN 'text' THEN unixepoch(created_at) ELSE CAST(created_at AS INTEGER) END, 0);
UPDATE carried_outbox_ops SET created_at = 0
WHERE CAST(created_at AS INTEGER) NOT BETWEEN -62135596800 AND 253402300799;

INSERT INTO campaigns (id, body, rev, updated_at)
SELECT firebase_id,
       json_patch('{}', json_object('name', CAST(name AS TEXT), 'description', CAST(description AS TEXT), 'createdAt',
           CASE WHEN typeof(created_at) = 'text' THEN strftime('%Y-%m-%dT%H:%M:%fZ', created_at)
                WHEN created_at BETWEEN -62135596800 AND 253402300799
                    THEN strftime('%Y-%m-%dT%H:%M:%SZ', created_at, 'unixepoch') END)),
       CAST(rev AS INTEGER),
       CAST(updated_at AS INTEGER) * 1000000
FROM carried_campaigns;

-- An operation that can't be read stays as it was, parked.
INSERT INTO outbox_ops (n, incarnation, op_id, collection, doc_id, operation, payload, edited_at, created_at, attempts,
    state, reason, error)
SELECT id, '', lower(hex(randomblob(16))), collection, doc_id,
       CASE kind WHEN 'upsert' THEN 'create' ELSE operation END,
       CASE kind
           WHEN 'delete' THEN json_object('kind', 'delete', 'deleteId', lower(hex(randomblob(16))))
           WHEN 'patch' THEN json_object('kind', 'patch', 'ops', json_extract(payload, '$.ops'))
           WHEN 'upsert' THEN json_object('kind', 'create', 'fields', json(payload))
           ELSE payload
       END,
       at, at, max(CAST(attempts AS INTEGER), 0),
       CASE WHEN kind IS NULL THEN 'parked' ELSE 'pending' END,
       CASE WHEN kind IS NULL THEN 'invalid' END,
       CASE WHEN kind IS NULL THEN 'version 1 queued what can''t be read' END
FROM (SELECT *, CAST(created_at AS INTEGER) * 1000000 AS at,
          CASE WHEN operation = 'delete' THEN 'delete'
               WHEN NOT json_valid(payload) THEN NULL
               WHEN operation = 'patch' AND json_type(payload, '$.ops') = 'array' THEN 'patch'
               WHEN operation = 'upsert' AND json_type(payload) = 'object' THEN 'upsert' END AS kind
      FROM carried_outbox_ops)
ORDER BY id;

-- Row numbers go on from where version 1 was, so that none comes again.
INSERT INTO outbox_ops (n, incarnation, op_id, collection, doc_id, operation, payload, edited_at, created_at)
SELECT seq + 1, '', '', '', '', '', '', 0, 0 FROM carried_numbers;
DELETE FROM outbox_ops WHERE op_id = '';

-- A dirty campaign whose operation was never written (the app was stopped between two statements).
INSERT INTO outbox_ops (incarnation, op_id, collection, doc_id, operation, payload, edited_at, created_at)
SELECT '', lower(hex(randomblob(16))), 'campaigns', c.id, 'create',
       json_object('kind', 'create', 'fields', json(c.body)), c.updated_at, c.updated_at
FROM campaigns c
WHERE c.id IN (SELECT doc_id FROM campaign_local_metas WHERE collection = 'campaigns' AND dirty = 1)
  AND c.id NOT IN (SELECT doc_id FROM outbox_ops WHERE collection = 'campaigns')
ORDER BY c.rowid;

INSERT INTO local_metas (doc_ref, collection, doc_id, dirty, last_synced_at, base_state, base)
SELECT d.collection || '/' || d.doc_id, d.collection, d.doc_id,
       EXISTS (SELECT 1 FROM outbox_ops o WHERE o.collection = d.collection AND o.doc_id = d.doc_id),
       m.at * 1000000,
       'unknown',
       (SELECT c.body FROM campaigns c WHERE d.collection = 'campaigns' AND c.id = d.doc_id)
FROM (SELECT 'campaigns' AS collection, id AS doc_id FROM campaigns
      UNION SELECT collection, doc_id FROM outbox_ops) d
LEFT JOIN (SELECT collection, doc_id, max(at) AS at
           FROM (SELECT collection, doc_id,
                     CASE typeof(last_synced_at) WHEN 'text' THEN unixepoch(last_synced_at)
                                                 ELSE CAST(last_synced_at AS INTEGER) END AS at
                 FROM campaign_local_metas)
           WHERE at BETWEEN -62135596800 AND 253402300799
           GROUP BY collection, doc_id) m
    ON m.collection = d.collection AND m.doc_id = d.doc_id;

DROP TABLE carried_campaigns;
DROP TABLE carried_outbox_ops;
DROP TABLE carried_numbers;

-- How many rows the outbox has, so that nobody has to count them.
CREATE TABLE outbox_size (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), rows INTEGER NOT NULL);
INSERT INTO outbox_size (one, rows) SELECT 1, count(*) FROM outbox_ops;
CREATE TRIGGER outbox_ops_counted_in AFTER INSERT ON outbox_ops BEGIN UPDATE outbox_size SET rows = rows + 1; END;
CREATE TRIGGER outbox_ops_counted_out AFTER DELETE ON outbox_ops BEGIN UPDATE outbox_size SET rows = rows - 1; END;
