#!/bin/sh
# The login of the service, and its database. It is a member of the three roles under which the service works and inherits none of them, so that
# it needs to create none: it is neither a superuser nor may it make roles.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
  --set=password="$DATABASE_PASSWORD" <<'SQL'
CREATE ROLE data_sanitizer_tenant NOLOGIN NOINHERIT;
CREATE ROLE data_sanitizer_service NOLOGIN NOINHERIT;
CREATE ROLE data_sanitizer_vault NOLOGIN NOINHERIT;
CREATE ROLE sanitizer LOGIN NOINHERIT PASSWORD :'password';
GRANT data_sanitizer_tenant, data_sanitizer_service, data_sanitizer_vault TO sanitizer;
CREATE DATABASE sanitizer OWNER sanitizer;
\connect sanitizer
-- Who inherits nothing has nothing of the owner's rights in the schema either.
GRANT USAGE, CREATE ON SCHEMA public TO sanitizer;
SQL
