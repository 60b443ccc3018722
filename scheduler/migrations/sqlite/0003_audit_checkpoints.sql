-- How far each tenant's audit chain is signed. The checkpoints themselves lie in the store, beside the outputs.
CREATE TABLE audit_checkpoints (
  tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
  -- The record of the last publication: a checkpoint must come to it.
  wanted INTEGER NOT NULL DEFAULT 0,
  -- The record of the last checkpoint, and its hash; 0 when there is none.
  seq INTEGER NOT NULL DEFAULT 0,
  hash TEXT NOT NULL DEFAULT '',
  written_at INTEGER
);
