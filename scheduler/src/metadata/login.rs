//! The login of a Postgres database: it may take on the roles of the service, and has nothing of them until it does.
//!
//! A login that inherits its roles sees the rows of all tenants in every statement that forgets to take one on.

use sqlx::{AssertSqlSafe, PgPool, Row};
use tracing::warn;

use super::error::{MetadataError, Result};

/// Makes a role that nobody logs in as, where there is none. Roles belong to the whole server.
///
/// # Errors
/// [`MetadataError::Invalid`] when there is none and the login may make none; the message says what an administrator
/// must run.
pub(crate) async fn ensure_role(pool: &PgPool, role: &'static str) -> Result<()> {
    let known = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), current_user::text";
    let (known, login): (bool, String) = sqlx::query_as(known).bind(role).fetch_one(pool).await?;
    if known {
        return Ok(());
    }
    let create = format!("CREATE ROLE {role} NOLOGIN NOINHERIT");
    let made = sqlx::query(AssertSqlSafe(create.clone()))
        .execute(pool)
        .await;
    let code = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code());
        code.unwrap_or_default().into_owned()
    };
    match made {
        Ok(_) => Ok(()),
        // Somebody else was first.
        Err(error) if matches!(code(&error).as_str(), DUPLICATE_OBJECT | UNIQUE_VIOLATION) => {
            Ok(())
        }
        Err(error) if code(&error) == INSUFFICIENT_PRIVILEGE => {
            Err(MetadataError::Invalid(format!(
                "the database has no role {role}, and its login may not make one; run as an administrator: {create}; \
             GRANT {role} TO {}",
                quoted(&login)
            )))
        }
        Err(error) => Err(error.into()),
    }
}

/// Codes of errors (appendix A of the manual of Postgres).
const DUPLICATE_OBJECT: &str = "42710";
const UNIQUE_VIOLATION: &str = "23505";
const INSUFFICIENT_PRIVILEGE: &str = "42501";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Sees to it that the login of a pool inherits none of these roles, changing the login where it may.
///
/// # Errors
/// [`MetadataError::Invalid`] when it inherits one and may not change that; the message says what an administrator
/// must run.
pub(crate) async fn close_login(pool: &PgPool, roles: &[&'static str]) -> Result<()> {
    let login = "SELECT current_user::text AS name, rolsuper OR rolbypassrls AS sees_all,
                   current_setting('server_version_num')::int >= 160000 AS by_grant
                 FROM pg_roles WHERE rolname = current_user";
    let login = sqlx::query(login).fetch_one(pool).await?;
    let (name, by_grant): (String, bool) = (login.try_get("name")?, login.try_get("by_grant")?);
    let quoted = quoted(&name);
    let list = roles.join(", ");
    // From Postgres 16 on a membership says whether it is inherited; before, the role of the member does.
    let grant = format!("GRANT {list} TO {quoted} WITH INHERIT FALSE, SET TRUE");
    let alter = format!("ALTER ROLE {quoted} NOINHERIT");
    if login.try_get("sees_all")? {
        // Only its members need a grant, and row-level security does not hold for it whatever it inherits.
        warn!(
            login = name,
            "the login of the database is a superuser or bypasses row-level security; give the service a login \
             that does neither"
        );
        return Ok(());
    }
    for role in roles {
        let member = "SELECT pg_has_role(current_user, $1, 'MEMBER')";
        let member: bool = sqlx::query_scalar(member)
            .bind(*role)
            .fetch_one(pool)
            .await?;
        if !member {
            let join = format!("GRANT {role} TO {quoted}");
            let joined = sqlx::query(AssertSqlSafe(join.clone())).execute(pool).await;
            joined.map_err(|error| {
                MetadataError::Invalid(format!(
                    "the database login {name} is no member of the role {role} ({error}); run as an administrator: \
                     {join}"
                ))
            })?;
        }
    }
    if !inherits(pool, roles).await? {
        return Ok(());
    }
    // A login that inherits nothing is no owner of its database's schema any more (pg_database_owner): what it needs there
    // is granted first.
    let schema: Option<String> = sqlx::query_scalar("SELECT quote_ident(current_schema()::text)")
        .fetch_one(pool)
        .await?;
    let schema = schema.unwrap_or_else(|| "public".to_owned());
    let keep = format!("GRANT CREATE, USAGE ON SCHEMA {schema} TO {quoted}");
    if !by_grant && let Err(error) = sqlx::query(AssertSqlSafe(keep.clone())).execute(pool).await {
        warn!(%error, "the login of the database may not keep its schema");
    }
    let change = if by_grant { &grant } else { &alter };
    if let Err(error) = sqlx::query(AssertSqlSafe(change.clone()))
        .execute(pool)
        .await
    {
        warn!(%error, "the login of the database may not change what it inherits");
    }
    if !inherits(pool, roles).await? {
        return Ok(());
    }
    let change = if by_grant {
        grant
    } else {
        format!("{keep}; {alter}")
    };
    Err(MetadataError::Invalid(format!(
        "the database login {name} inherits the roles {list}, and so sees the rows of all tenants without taking \
         one on; run as an administrator: {change}"
    )))
}

/// Whether the login has what one of these roles has, without taking it on.
async fn inherits(pool: &PgPool, roles: &[&'static str]) -> Result<bool> {
    let inherited = "SELECT bool_or(pg_has_role(current_user, rolname, 'USAGE')) FROM pg_roles WHERE rolname = ANY($1)";
    let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    let inherited: Option<bool> = sqlx::query_scalar(inherited)
        .bind(roles)
        .fetch_one(pool)
        .await?;
    Ok(inherited.unwrap_or_default())
}
