-- What users and keys may do, until when, and whether they are suspended.
ALTER TABLE users ADD COLUMN actions TEXT;                        -- JSON list of actions; all when null
ALTER TABLE users ADD COLUMN datasets TEXT;                       -- JSON list of datasets; all when null
ALTER TABLE users ADD COLUMN expires_at TEXT;                     -- RFC 3339; never when null
ALTER TABLE users ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;

ALTER TABLE api_keys ADD COLUMN actions TEXT;                     -- those of the user when null
ALTER TABLE api_keys ADD COLUMN datasets TEXT;                    -- those of the user when null

-- Counts the changes of users and keys, so that a server notices each of them at once.
CREATE TABLE access_version (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO access_version (id, version) VALUES (1, 0);

CREATE TRIGGER users_changed AFTER UPDATE ON users
BEGIN UPDATE access_version SET version = version + 1; END;

CREATE TRIGGER users_removed AFTER DELETE ON users
BEGIN UPDATE access_version SET version = version + 1; END;

CREATE TRIGGER keys_changed AFTER UPDATE ON api_keys
BEGIN UPDATE access_version SET version = version + 1; END;

CREATE TRIGGER keys_removed AFTER DELETE ON api_keys
BEGIN UPDATE access_version SET version = version + 1; END;
