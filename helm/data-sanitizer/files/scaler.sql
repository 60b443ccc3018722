-- A login for KEDA that can count jobs by their status, and do nothing else. Row-level security closes the table: without a policy,
-- a login that is in neither of the service's roles counts zero jobs, and nothing ever scales. Run it once in the service's database, after
-- the scheduler has made its tables, as somebody who may make roles and owns the tables; then give the login a password.
CREATE ROLE sanitizer_scaler LOGIN NOINHERIT CONNECTION LIMIT 5;
GRANT SELECT (status) ON jobs TO sanitizer_scaler;
CREATE POLICY counted_by_scaler ON jobs FOR SELECT TO sanitizer_scaler USING (true);
