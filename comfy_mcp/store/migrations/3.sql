-- Readings of the clock belong to one run of one machine; a job that began does not expire; limits of one owner.

CREATE TABLE boot (id TEXT NOT NULL);                              -- at most one: the run that the readings are of
INSERT INTO boot (id) VALUES ('');

DROP INDEX job_expiry;
CREATE INDEX job_expiry ON job (since + expires_in) WHERE state = 'queued' AND started IS NULL;
CREATE INDEX job_waiting_by_owner ON job (owner) WHERE state = 'queued';

-- What a person keeps beside jobs: presets and sweeps, each as JSON.
CREATE TABLE record (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (owner, kind, name)
) WITHOUT ROWID;
