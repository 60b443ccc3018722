-- What each tenant has named.
CREATE TABLE schemas (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;

CREATE TABLE tables (
    tenant     TEXT NOT NULL,
    schema     TEXT NOT NULL,
    name       TEXT NOT NULL,
    definition TEXT NOT NULL,          -- JSON
    version    INTEGER NOT NULL,       -- counts the changes of the definition
    PRIMARY KEY (tenant, schema, name),
    FOREIGN KEY (tenant, schema) REFERENCES schemas (tenant, name)
) STRICT;

CREATE TABLE specs (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    spec   TEXT NOT NULL,              -- JSON
    PRIMARY KEY (tenant, name)
) STRICT;

CREATE TABLE finished_jobs (
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    output      TEXT NOT NULL,         -- a Place, in JSON
    finished_at TEXT NOT NULL,         -- RFC 3339
    PRIMARY KEY (tenant, name)
) STRICT;
