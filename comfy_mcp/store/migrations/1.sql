-- Jobs in the order they were accepted: seq is that order, id is what callers hold.
CREATE TABLE job (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    template TEXT NOT NULL,
    style TEXT,
    bound TEXT NOT NULL,               -- BoundWorkflow as JSON
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
    attempt TEXT,                      -- the ComfyUI prompt_id and fencing token of the latest attempt
    attempts INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,             -- seconds since 1970, UTC, for display only
    started REAL,
    finished REAL,
    progress TEXT,                     -- Progress as JSON, without its preview
    outputs TEXT NOT NULL DEFAULT '[]',
    error TEXT,
    warnings TEXT NOT NULL DEFAULT '[]',
    idempotency_key TEXT,
    fingerprint TEXT
);
CREATE INDEX job_by_state ON job (state, seq);
CREATE INDEX job_by_owner ON job (owner, seq);
CREATE UNIQUE INDEX job_by_key ON job (owner, template, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE asset (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    job INTEGER REFERENCES job (seq),  -- NULL for an upload
    position INTEGER NOT NULL DEFAULT 0,
    record TEXT NOT NULL               -- Asset as JSON
);
CREATE INDEX asset_by_job ON asset (job, position);
