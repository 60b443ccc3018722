-- The metadata of the service. Times are the database's own; every table that holds something of a tenant
-- is closed by row-level security to everybody but that tenant and the service itself.

-- The two roles under which the service works. They own nothing and nobody logs in as one of them: the
-- login of the service takes one on for each transaction. Roles belong to the whole server, so another
-- database may have made them.
DO $$
DECLARE
  role TEXT;
BEGIN
  FOREACH role IN ARRAY ARRAY['data_sanitizer_tenant', 'data_sanitizer_service'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', role);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        -- Somebody else was first.
        NULL;
      END;
    END IF;
    -- Whoever makes a role is a member of it from Postgres 16 on, and yet may not take it on without this.
    BEGIN
      EXECUTE format('GRANT %I TO %I', role, current_user);
    EXCEPTION WHEN insufficient_privilege THEN
      IF NOT pg_has_role(current_user, role, 'MEMBER') THEN
        RAISE;
      END IF;
    END;
  END LOOP;
END $$;

CREATE TABLE tenants (
  id UUID PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at TIMESTAMPTZ NOT NULL,
  suspended BOOLEAN NOT NULL DEFAULT FALSE,
  -- Jobs that run at the same time; `running` is how many do, kept in step with the jobs.
  max_running BIGINT NOT NULL DEFAULT 2 CHECK (max_running >= 0),
  running BIGINT NOT NULL DEFAULT 0 CHECK (running >= 0),
  max_queued BIGINT NOT NULL DEFAULT 1000 CHECK (max_queued >= 0),
  -- Seconds of work received, divided by the weight: the least is next.
  virtual_time DOUBLE PRECISION NOT NULL DEFAULT 0,
  weight DOUBLE PRECISION NOT NULL DEFAULT 1 CHECK (weight > 0),
  rows_per_month BIGINT CHECK (rows_per_month >= 0),
  calls_per_second DOUBLE PRECISION NOT NULL DEFAULT 50 CHECK (calls_per_second > 0)
);

-- How far the work of all tenants is: whoever comes back after a pause begins here.
CREATE TABLE queue_clock (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  virtual_time DOUBLE PRECISION NOT NULL
);
INSERT INTO queue_clock (id, virtual_time) VALUES (1, 0);

-- People of the identity provider who were here, by the subject of their tokens.
CREATE TABLE users (
  id UUID PRIMARY KEY,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  subject TEXT NOT NULL,
  role TEXT NOT NULL,
  suspended BOOLEAN NOT NULL DEFAULT FALSE,
  created_at TIMESTAMPTZ NOT NULL,
  last_seen_at TIMESTAMPTZ NOT NULL,
  UNIQUE (tenant_id, subject)
);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  operator BOOLEAN NOT NULL DEFAULT FALSE,
  -- What the key may do beside its role, and to which datasets; all that the role allows when null.
  actions JSONB,
  datasets JSONB,
  created_by TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ,
  revoked_at TIMESTAMPTZ
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, created_at);

CREATE TABLE datasets (
  id UUID PRIMARY KEY,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (tenant_id, name)
);

CREATE TABLE contracts (
  dataset_id UUID NOT NULL REFERENCES datasets (id),
  version BIGINT NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  contract JSONB NOT NULL,
  created_by TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (dataset_id, version)
);

CREATE TABLE cleaning_rules (
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  rule JSONB NOT NULL,
  created_by TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (tenant_id, name)
);

CREATE TABLE jobs (
  id UUID PRIMARY KEY,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  dataset_id UUID NOT NULL REFERENCES datasets (id),
  dataset_name TEXT NOT NULL,
  spec JSONB NOT NULL,
  contract_version BIGINT,
  source_bytes BIGINT,
  status TEXT NOT NULL,
  priority BIGINT NOT NULL DEFAULT 0,
  created_by TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  started_at TIMESTAMPTZ,
  finished_at TIMESTAMPTZ,
  deadline_at TIMESTAMPTZ,
  not_before TIMESTAMPTZ NOT NULL,
  attempt BIGINT NOT NULL DEFAULT 0,
  -- Attempts that failed or were lost; the job fails with the last one that it may have.
  failures BIGINT NOT NULL DEFAULT 0,
  max_attempts BIGINT NOT NULL DEFAULT 3,
  owner TEXT,
  lease_until TIMESTAMPTZ,
  cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
  last_event BIGINT NOT NULL DEFAULT 0,
  progress JSONB,
  metrics JSONB,
  error JSONB,
  output TEXT,
  manifest_digest TEXT,
  -- The request that submitted it, as W3C traceparent.
  traceparent TEXT,
  -- The version of the dataset that it made.
  version BIGINT
);
CREATE INDEX jobs_to_claim ON jobs (tenant_id, priority DESC, created_at, id) WHERE status = 'queued';
CREATE INDEX jobs_pending ON jobs (created_at) WHERE status = 'pending';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE status IN ('pass1_running', 'pass2_running');
CREATE INDEX jobs_published ON jobs (updated_at DESC) WHERE status = 'success';
CREATE INDEX jobs_by_tenant ON jobs (tenant_id, created_at DESC, id DESC);
CREATE INDEX jobs_by_dataset ON jobs (dataset_id, created_at DESC, id DESC);

CREATE TABLE job_attempts (
  job_id UUID NOT NULL REFERENCES jobs (id),
  attempt BIGINT NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  owner TEXT NOT NULL,
  started_at TIMESTAMPTZ NOT NULL,
  finished_at TIMESTAMPTZ,
  outcome TEXT,
  error JSONB,
  output TEXT NOT NULL,
  swept BOOLEAN NOT NULL DEFAULT FALSE,
  PRIMARY KEY (job_id, attempt)
);
CREATE INDEX job_attempts_to_sweep ON job_attempts (finished_at) WHERE NOT swept;

CREATE TABLE job_events (
  job_id UUID NOT NULL REFERENCES jobs (id),
  seq BIGINT NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  at TIMESTAMPTZ NOT NULL,
  kind TEXT NOT NULL,
  data JSONB NOT NULL,
  PRIMARY KEY (job_id, seq)
);

CREATE TABLE idempotency_keys (
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  key TEXT NOT NULL,
  -- Digests of the request, apart by a space: of what was sent, and of the names of uploads.
  request_hash TEXT NOT NULL,
  job_id UUID NOT NULL REFERENCES jobs (id),
  created_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (tenant_id, key)
);

CREATE TABLE cleaned_datasets (
  id UUID PRIMARY KEY,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  dataset_id UUID NOT NULL REFERENCES datasets (id),
  version BIGINT NOT NULL,
  job_id UUID NOT NULL UNIQUE REFERENCES jobs (id),
  location TEXT NOT NULL,
  checksum TEXT NOT NULL,
  rows BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  transformations JSONB NOT NULL,
  contract JSONB NOT NULL,
  sources JSONB NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (dataset_id, version)
);

CREATE TABLE imputation_stats (
  job_id UUID NOT NULL REFERENCES jobs (id),
  transformation_id TEXT NOT NULL,
  column_name TEXT NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  strategy TEXT NOT NULL,
  value JSONB NOT NULL,
  PRIMARY KEY (job_id, transformation_id, column_name)
);

-- Where the hashes of a version's rows lie, for jobs that compare new rows with them.
CREATE TABLE row_hash_indexes (
  dataset_id UUID NOT NULL REFERENCES datasets (id),
  version BIGINT NOT NULL,
  transformation_id TEXT NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  job_id UUID NOT NULL REFERENCES jobs (id),
  location TEXT NOT NULL,
  PRIMARY KEY (dataset_id, version, transformation_id)
);

-- How many cells of a column a transformation changed, of every job.
CREATE TABLE provenance_counts (
  job_id UUID NOT NULL REFERENCES jobs (id),
  transformation_id TEXT NOT NULL,
  column_name TEXT NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  cells BIGINT NOT NULL,
  low_confidence BIGINT NOT NULL,
  -- Whether every one of these cells is in cell_provenance, and not a sample.
  complete BOOLEAN NOT NULL,
  PRIMARY KEY (job_id, transformation_id, column_name)
);

-- Modified cells, up to a limit for each job; all of them lie in the job's output.
CREATE TABLE cell_provenance (
  job_id UUID NOT NULL,
  row_id BIGINT NOT NULL,
  column_name TEXT COLLATE "C" NOT NULL,
  tenant_id UUID NOT NULL,
  original_value TEXT,
  cleaned_value TEXT,
  transformation_id TEXT NOT NULL,
  confidence_score DOUBLE PRECISION NOT NULL DEFAULT 1.0,
  source TEXT NOT NULL,
  PRIMARY KEY (job_id, row_id, column_name)
) PARTITION BY HASH (job_id);
DO $$
BEGIN
  FOR part IN 0..15 LOOP
    EXECUTE format('CREATE TABLE cell_provenance_%s PARTITION OF cell_provenance FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    EXECUTE format('ALTER TABLE cell_provenance_%s ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE cell_provenance_%s FORCE ROW LEVEL SECURITY', part);
  END LOOP;
END $$;

-- What people decided on changed cells.
CREATE TABLE reviews (
  job_id UUID NOT NULL REFERENCES jobs (id),
  row_id BIGINT NOT NULL,
  column_name TEXT NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  decision TEXT NOT NULL,
  value TEXT,
  decided_by TEXT NOT NULL,
  decided_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (job_id, row_id, column_name)
);

CREATE TABLE uploads (
  id UUID PRIMARY KEY,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  location TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  completed_at TIMESTAMPTZ,
  bytes BIGINT,
  sha256 TEXT,
  parts JSONB NOT NULL
);

-- The uploads that a job reads: it is pending until all of them are complete.
CREATE TABLE job_uploads (
  job_id UUID NOT NULL REFERENCES jobs (id),
  upload_id UUID NOT NULL,
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  PRIMARY KEY (job_id, upload_id)
);
CREATE INDEX job_uploads_by_upload ON job_uploads (upload_id);

CREATE TABLE usage (
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  month TEXT NOT NULL,
  jobs BIGINT NOT NULL DEFAULT 0,
  rows BIGINT NOT NULL DEFAULT 0,
  bytes_in BIGINT NOT NULL DEFAULT 0,
  bytes_out BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, month)
);

-- What people and the service did, each record with the hash of the one before it.
CREATE TABLE audit_logs (
  tenant_id UUID NOT NULL REFERENCES tenants (id),
  seq BIGINT NOT NULL,
  at TIMESTAMPTZ NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  job_id UUID,
  record TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX audit_logs_by_job ON audit_logs (tenant_id, job_id, seq);

CREATE TABLE audit_heads (
  tenant_id UUID PRIMARY KEY REFERENCES tenants (id),
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL
);

-- Each tenant's rows for that tenant; all rows for the service; nothing for anybody else, the owner of the
-- tables among them.
DO $$
DECLARE
  part TEXT;
BEGIN
  FOREACH part IN ARRAY ARRAY['users', 'api_keys', 'datasets', 'contracts', 'cleaning_rules', 'jobs', 'job_attempts',
      'job_events', 'idempotency_keys', 'cleaned_datasets', 'imputation_stats', 'row_hash_indexes', 'provenance_counts',
      'cell_provenance', 'reviews', 'uploads', 'job_uploads', 'usage', 'audit_logs', 'audit_heads', 'tenants'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY of_tenant ON %I TO data_sanitizer_tenant USING (%s) WITH CHECK (%s)', part,
      CASE part WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END || ' = nullif(current_setting(''app.tenant'', true), '''')::uuid',
      CASE part WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END || ' = nullif(current_setting(''app.tenant'', true), '''')::uuid');
    EXECUTE format('CREATE POLICY of_service ON %I TO data_sanitizer_service USING (true) WITH CHECK (true)', part);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO data_sanitizer_tenant, data_sanitizer_service', part);
  END LOOP;
END $$;

ALTER TABLE queue_clock ENABLE ROW LEVEL SECURITY;
ALTER TABLE queue_clock FORCE ROW LEVEL SECURITY;
CREATE POLICY of_service ON queue_clock TO data_sanitizer_service USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE ON queue_clock TO data_sanitizer_service;

-- What was done is not undone: neither role may change or remove it.
REVOKE UPDATE, DELETE ON audit_logs FROM data_sanitizer_tenant, data_sanitizer_service;
REVOKE DELETE ON audit_heads FROM data_sanitizer_tenant, data_sanitizer_service;
-- A tenant does not set its own limits.
REVOKE INSERT, UPDATE, DELETE ON tenants FROM data_sanitizer_tenant;
GRANT UPDATE (running, virtual_time) ON tenants TO data_sanitizer_tenant;
