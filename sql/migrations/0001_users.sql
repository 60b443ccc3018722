-- Who may come in. Passwords and keys are stored as hashes only.
CREATE TABLE users (
    name          TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL,
    password_hash TEXT,               -- Argon2id, in PHC notation
    created_at    TEXT NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY,       -- the public part of the key
    user       TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    key_hash   TEXT NOT NULL,          -- SHA-256 of the secret part, in hexadecimal digits
    created_at TEXT NOT NULL,
    expires_at TEXT                    -- RFC 3339; never when null
) STRICT;
