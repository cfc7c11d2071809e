-- The durable queue: lanes of alike jobs, leases with fencing tokens, batches of cards, measured durations.
-- Readings of the clock (since, beat, run_from, began) are seconds of `clock.uptime`, not of the calendar.

-- Jobs that wait for the same thing. A lane stays when it is empty: alike jobs come again.
CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    priority INTEGER NOT NULL,
    template TEXT NOT NULL,
    model TEXT NOT NULL,               -- what must be loaded, '' when nothing need be
    needs TEXT NOT NULL,               -- JSON list, sorted: node classes, model files, tags
    UNIQUE (owner, priority, template, model, needs)
);

ALTER TABLE job ADD COLUMN lane INTEGER REFERENCES lane (id);      -- NULL for what ended before there were lanes
ALTER TABLE job ADD COLUMN token INTEGER NOT NULL DEFAULT 0;       -- fencing: grows with every lease and takeover
ALTER TABLE job ADD COLUMN takeovers INTEGER NOT NULL DEFAULT 0;   -- dispatchers that ended while it ran
ALTER TABLE job ADD COLUMN backend TEXT;                           -- where the latest attempt runs
ALTER TABLE job ADD COLUMN since REAL NOT NULL DEFAULT 0;          -- reading when it was queued
ALTER TABLE job ADD COLUMN expires_in REAL;                        -- seconds it may wait; NULL: for ever
ALTER TABLE job ADD COLUMN run_from REAL;                          -- reading when the latest attempt began
ALTER TABLE job ADD COLUMN beat REAL;                              -- reading of the latest heartbeat

INSERT INTO lane (owner, priority, template, model, needs)
    SELECT DISTINCT owner, 0, template, '', '[]' FROM job WHERE state IN ('queued', 'running');
UPDATE job SET lane = (SELECT id FROM lane WHERE lane.owner = job.owner AND lane.template = job.template)
    WHERE state IN ('queued', 'running');
-- There was one backend, and this is what it is called now.
UPDATE job SET backend = 'comfyui' WHERE state = 'running';

DROP INDEX job_by_state;
CREATE INDEX job_waiting ON job (lane, seq) WHERE state = 'queued';
CREATE INDEX job_in_line ON job (seq) WHERE state = 'queued';
CREATE INDEX job_expiry ON job (since + expires_in) WHERE state = 'queued';
CREATE INDEX job_running ON job (seq) WHERE state = 'running';

CREATE VIEW listed AS
    SELECT job.*, coalesce(lane.priority, 0) AS priority, coalesce(lane.model, '') AS model
    FROM job LEFT JOIN lane ON lane.id = job.lane;

-- What each card is at; a restarted dispatcher goes on with it.
CREATE TABLE batch (
    card TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    model TEXT NOT NULL,
    gate INTEGER NOT NULL,
    began REAL NOT NULL
);

-- Who was served when: the larger, the later.
CREATE TABLE turn (owner TEXT PRIMARY KEY, turn INTEGER NOT NULL);

-- How long jobs took, as a running mean, in seconds.
CREATE TABLE duration (
    template TEXT NOT NULL,
    model TEXT NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (template, model)
);

-- Backends that a person paused or drains; one that is not here is active.
CREATE TABLE mode (backend TEXT PRIMARY KEY, mode TEXT NOT NULL CHECK (mode IN ('paused', 'draining')));
