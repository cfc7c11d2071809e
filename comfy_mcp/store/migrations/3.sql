-- Readings of the clock belong to one run of one machine; a job that began does not expire; limits of one owner.

CREATE TABLE boot (id TEXT NOT NULL);                              -- at most one: the run that the readings are of
INSERT INTO boot (id) VALUES ('');

DROP INDEX job_expiry;
CREATE INDEX job_expiry ON job (since + expires_in) WHERE state = 'queued' AND started IS NULL;
CREATE INDEX job_waiting_by_owner ON job (owner) WHERE state = 'queued';
