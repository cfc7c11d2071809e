-- The gallery: files that jobs made and people sent, found by what made them and by the words of the prompt.

CREATE TABLE picture (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they were recorded
    asset TEXT NOT NULL UNIQUE REFERENCES asset (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    made REAL NOT NULL,                     -- seconds since 1970, UTC
    size INTEGER NOT NULL,                  -- bytes
    source TEXT NOT NULL,                   -- made, cell (of a comparison) or upload
    kind TEXT NOT NULL,                     -- image, video, audio, …: what its type begins with
    template TEXT NOT NULL,                 -- '' where there is none, as with model and style
    model TEXT NOT NULL,
    style TEXT NOT NULL,
    kept INTEGER NOT NULL DEFAULT 0         -- marked by a person, so never deleted for its age
);
CREATE INDEX picture_template ON picture (owner, template, kind);
CREATE INDEX picture_model ON picture (owner, model);
CREATE INDEX picture_style ON picture (owner, style, kind);
CREATE INDEX picture_made ON picture (made);
CREATE INDEX picture_ageing ON picture (made) WHERE NOT kept;

-- Every filter is a word of `facets`, so one index answers all of them together. Its rowid is picture.seq.
CREATE VIRTUAL TABLE found USING fts5 (facets, text, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3');

-- What the pictures of an owner come to, counted on: nobody counts them all for every page.
CREATE TABLE taken (
    owner TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    size INTEGER NOT NULL                   -- bytes
) WITHOUT ROWID;
CREATE TRIGGER picture_come AFTER INSERT ON picture BEGIN
    INSERT INTO taken (owner, count, size) VALUES (new.owner, 1, new.size)
        ON CONFLICT (owner) DO UPDATE SET count = count + 1, size = size + excluded.size;
END;
CREATE TRIGGER picture_gone AFTER DELETE ON picture BEGIN
    DELETE FROM found WHERE rowid = old.seq;
    UPDATE taken SET count = count - 1, size = size - old.size WHERE owner = old.owner;
END;

CREATE VIEW recorded AS
    SELECT asset.rowid AS place, asset.id AS asset, asset.owner,
        coalesce(job.finished, (julianday('now') - 2440587.5) * 86400.0) AS made,
        json_extract(asset.record, '$.size') AS size,
        CASE WHEN job.seq IS NULL THEN 'upload' WHEN lane.owner != job.owner THEN 'cell' ELSE 'made' END AS source,
        substr(json_extract(asset.record, '$.mime'), 1, instr(json_extract(asset.record, '$.mime'), '/') - 1) AS kind,
        coalesce(job.template, '') AS template, coalesce(lane.model, '') AS model, coalesce(job.style, '') AS style
    FROM asset LEFT JOIN job ON job.seq = asset.job LEFT JOIN lane ON lane.id = job.lane;

CREATE VIEW filed AS
    SELECT picture.seq, picture.asset, json_extract(job.bound, '$.values.prompt') AS prompt,
        'o' || hex(picture.owner) || ' s' || source || ' k' || kind || ' t' || hex(picture.template)
            || ' m' || hex(picture.model) || ' y' || hex(picture.style)
            || CASE WHEN picture.kept THEN ' kept' ELSE '' END AS facets
    FROM picture JOIN asset ON asset.id = picture.asset LEFT JOIN job ON job.seq = asset.job;

INSERT INTO picture (asset, owner, made, size, source, kind, template, model, style)
    SELECT asset, owner, made, size, source, kind, template, model, style FROM recorded ORDER BY place;
INSERT INTO found (rowid, facets, text) SELECT seq, facets, searchable(prompt) FROM filed ORDER BY seq;

-- Files whose records are gone, until their bytes are as well. Who makes the same again meanwhile keeps them.
CREATE TABLE leaving (
    key TEXT PRIMARY KEY,
    record TEXT NOT NULL,                   -- Asset as JSON
    template TEXT,                          -- of the job that made it, with its seed; NULL for an upload
    seed
);
