-- The metadata of the service, in one file. Times are microseconds since 1970 (UTC).

CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  suspended BOOLEAN NOT NULL DEFAULT FALSE,
  -- Jobs that run at the same time; `running` is how many do, kept in step with the jobs.
  max_running INTEGER NOT NULL DEFAULT 2 CHECK (max_running >= 0),
  running INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
  max_queued INTEGER NOT NULL DEFAULT 1000 CHECK (max_queued >= 0),
  -- Seconds of work received, divided by the weight: the least is next.
  virtual_time REAL NOT NULL DEFAULT 0,
  weight REAL NOT NULL DEFAULT 1 CHECK (weight > 0),
  rows_per_month INTEGER CHECK (rows_per_month >= 0),
  calls_per_second REAL NOT NULL DEFAULT 50 CHECK (calls_per_second > 0)
);

-- How far the work of all tenants is: whoever comes back after a pause begins here.
CREATE TABLE queue_clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  virtual_time REAL NOT NULL
);
INSERT INTO queue_clock (id, virtual_time) VALUES (1, 0);

-- People of the identity provider who were here, by the subject of their tokens.
CREATE TABLE users (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  subject TEXT NOT NULL,
  role TEXT NOT NULL,
  suspended BOOLEAN NOT NULL DEFAULT FALSE,
  created_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  UNIQUE (tenant_id, subject)
);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  operator BOOLEAN NOT NULL DEFAULT FALSE,
  -- What the key may do beside its role, and to which datasets; all that the role allows when null.
  actions TEXT,
  datasets TEXT,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, created_at);

CREATE TABLE datasets (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (tenant_id, name)
);

CREATE TABLE contracts (
  dataset_id TEXT NOT NULL REFERENCES datasets (id),
  version INTEGER NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  contract TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (dataset_id, version)
);

CREATE TABLE cleaning_rules (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  rule TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  dataset_id TEXT NOT NULL REFERENCES datasets (id),
  dataset_name TEXT NOT NULL,
  spec TEXT NOT NULL,
  contract_version INTEGER,
  source_bytes INTEGER,
  status TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 0,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  deadline_at INTEGER,
  not_before INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  -- Attempts that failed or were lost; the job fails with the last one that it may have.
  failures INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL DEFAULT 3,
  owner TEXT,
  lease_until INTEGER,
  cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
  last_event INTEGER NOT NULL DEFAULT 0,
  progress TEXT,
  metrics TEXT,
  error TEXT,
  output TEXT,
  manifest_digest TEXT,
  -- The request that submitted it, as W3C traceparent.
  traceparent TEXT,
  -- The version of the dataset that it made.
  version INTEGER
);
CREATE INDEX jobs_to_claim ON jobs (tenant_id, priority DESC, created_at, id) WHERE status = 'queued';
CREATE INDEX jobs_pending ON jobs (created_at) WHERE status = 'pending';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE status IN ('pass1_running', 'pass2_running');
CREATE INDEX jobs_published ON jobs (updated_at DESC) WHERE status = 'success';
CREATE INDEX jobs_by_tenant ON jobs (tenant_id, created_at DESC, id DESC);
CREATE INDEX jobs_by_dataset ON jobs (dataset_id, created_at DESC, id DESC);

CREATE TABLE job_attempts (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  attempt INTEGER NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  owner TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  outcome TEXT,
  error TEXT,
  output TEXT NOT NULL,
  swept BOOLEAN NOT NULL DEFAULT FALSE,
  PRIMARY KEY (job_id, attempt)
);
CREATE INDEX job_attempts_to_sweep ON job_attempts (finished_at) WHERE NOT swept;

CREATE TABLE job_events (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  seq INTEGER NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (job_id, seq)
);

CREATE TABLE idempotency_keys (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  key TEXT NOT NULL,
  -- Digests of the request, apart by a space: of what was sent, and of the names of uploads.
  request_hash TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES jobs (id),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, key)
);

CREATE TABLE cleaned_datasets (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  dataset_id TEXT NOT NULL REFERENCES datasets (id),
  version INTEGER NOT NULL,
  job_id TEXT NOT NULL UNIQUE REFERENCES jobs (id),
  location TEXT NOT NULL,
  checksum TEXT NOT NULL,
  rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  transformations TEXT NOT NULL,
  contract TEXT NOT NULL,
  sources TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (dataset_id, version)
);

CREATE TABLE imputation_stats (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  transformation_id TEXT NOT NULL,
  column_name TEXT NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  strategy TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (job_id, transformation_id, column_name)
);

-- Where the hashes of a version's rows lie, for jobs that compare new rows with them.
CREATE TABLE row_hash_indexes (
  dataset_id TEXT NOT NULL REFERENCES datasets (id),
  version INTEGER NOT NULL,
  transformation_id TEXT NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  job_id TEXT NOT NULL REFERENCES jobs (id),
  location TEXT NOT NULL,
  PRIMARY KEY (dataset_id, version, transformation_id)
);

-- How many cells of a column a transformation changed, of every job.
CREATE TABLE provenance_counts (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  transformation_id TEXT NOT NULL,
  column_name TEXT NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  cells INTEGER NOT NULL,
  low_confidence INTEGER NOT NULL,
  -- Whether every one of these cells is in cell_provenance, and not a sample.
  complete BOOLEAN NOT NULL,
  PRIMARY KEY (job_id, transformation_id, column_name)
);

-- Modified cells, up to a limit for each job; all of them lie in the job's output.
CREATE TABLE cell_provenance (
  job_id TEXT NOT NULL,
  row_id INTEGER NOT NULL,
  column_name TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  original_value TEXT,
  cleaned_value TEXT,
  transformation_id TEXT NOT NULL,
  confidence_score REAL NOT NULL DEFAULT 1.0,
  source TEXT NOT NULL,
  PRIMARY KEY (job_id, row_id, column_name)
);

-- What people decided on changed cells.
CREATE TABLE reviews (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  row_id INTEGER NOT NULL,
  column_name TEXT NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  decision TEXT NOT NULL,
  value TEXT,
  decided_by TEXT NOT NULL,
  decided_at INTEGER NOT NULL,
  PRIMARY KEY (job_id, row_id, column_name)
);

CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  location TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  completed_at INTEGER,
  bytes INTEGER,
  sha256 TEXT,
  parts TEXT NOT NULL
);

-- The uploads that a job reads: it is pending until all of them are complete.
CREATE TABLE job_uploads (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  upload_id TEXT NOT NULL,
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  PRIMARY KEY (job_id, upload_id)
);
CREATE INDEX job_uploads_by_upload ON job_uploads (upload_id);

CREATE TABLE usage (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  month TEXT NOT NULL,
  jobs INTEGER NOT NULL DEFAULT 0,
  rows INTEGER NOT NULL DEFAULT 0,
  bytes_in INTEGER NOT NULL DEFAULT 0,
  bytes_out INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, month)
);

-- What people and the service did, each record with the hash of the one before it.
CREATE TABLE audit_logs (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  job_id TEXT,
  record TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX audit_logs_by_job ON audit_logs (tenant_id, job_id, seq);

CREATE TABLE audit_heads (
  tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
  seq INTEGER NOT NULL,
  hash TEXT NOT NULL
);


-- What was done is not undone.
CREATE TRIGGER audit_logs_stay BEFORE DELETE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_logs_last BEFORE UPDATE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
