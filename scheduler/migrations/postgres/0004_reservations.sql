-- What jobs that have not ended hold of their tenant's quotas, and what uploads take of the store.

-- Rows that the job may read: an estimate until they are counted.
ALTER TABLE jobs ADD COLUMN reserved_rows BIGINT NOT NULL DEFAULT 0;
CREATE INDEX jobs_unended ON jobs (tenant_id) WHERE status IN ('pending', 'queued', 'pass1_running', 'pass2_running');

-- Bytes of the parts that are there, and of the whole once it is complete.
ALTER TABLE uploads ADD COLUMN received_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE uploads SET received_bytes = coalesce(bytes, 0);

-- Bytes of uploads and outputs that the tenant may keep; as many as there is room for when null.
ALTER TABLE tenants ADD COLUMN storage_bytes BIGINT CHECK (storage_bytes >= 0);
