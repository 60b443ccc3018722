-- How far each tenant's audit chain is signed. The checkpoints themselves lie in the store, beside the outputs.
CREATE TABLE audit_checkpoints (
  tenant_id UUID PRIMARY KEY REFERENCES tenants (id),
  -- The record of the last publication: a checkpoint must come to it.
  wanted BIGINT NOT NULL DEFAULT 0,
  -- The record of the last checkpoint, and its hash; 0 when there is none.
  seq BIGINT NOT NULL DEFAULT 0,
  hash TEXT NOT NULL DEFAULT '',
  written_at TIMESTAMPTZ
);
ALTER TABLE audit_checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_checkpoints FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON audit_checkpoints FOR SELECT TO data_sanitizer_tenant
  USING (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
CREATE POLICY of_service ON audit_checkpoints TO data_sanitizer_service USING (true) WITH CHECK (true);
GRANT SELECT ON audit_checkpoints TO data_sanitizer_tenant;
GRANT SELECT, INSERT, UPDATE ON audit_checkpoints TO data_sanitizer_service;
