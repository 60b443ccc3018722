-- The login of the service, made once by the database's master: psql --set=password=… --file=service-login.sql
-- It is a member of the three roles under which the service works and inherits none of them, so that it needs to make none.
\set ON_ERROR_STOP on
CREATE ROLE data_sanitizer_tenant NOLOGIN NOINHERIT;
CREATE ROLE data_sanitizer_service NOLOGIN NOINHERIT;
CREATE ROLE data_sanitizer_vault NOLOGIN NOINHERIT;
CREATE ROLE sanitizer LOGIN NOINHERIT PASSWORD :'password';
GRANT data_sanitizer_tenant, data_sanitizer_service, data_sanitizer_vault TO sanitizer;
-- Tables, and the schema token_vault.
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE sanitizer TO sanitizer;
GRANT USAGE, CREATE ON SCHEMA public TO sanitizer;
