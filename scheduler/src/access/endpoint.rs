//! Every endpoint of the REST API: what it needs, and whose data it is about. The check of each request
//! (`rest/gate.rs`), the OpenAPI document and `docs/reference/endpoints.md` follow from this table; a route that is
//! not in it is not served.

use super::Action;
use super::Action::{
    CancelJobs, DecideReviews, ManageKeys, ManageTenantKeys, ManageTenants, ReadAudit, ReadData,
    ReadJobs, ReadProvenance, ReadTenants, ReadUsage, RevealTokens, SubmitJobs, SuspendTenants,
    WriteContracts,
};

/// What a request needs to be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// No credential.
    Nothing,
    /// Any valid credential.
    Credential,
    /// One of these actions. Where there are several, the request itself decides which one.
    OneOf(&'static [Action]),
}

/// Whose data a request is about, and so what a limit to datasets and the tenant in the path mean for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nobody's data.
    Nothing,
    /// What the caller makes, which then belongs to them.
    Own,
    /// The dataset that the path names.
    Dataset,
    /// The dataset that the request names in its query or body; the handler checks it.
    NamedDataset,
    /// The dataset of the job that the path names.
    Job,
    /// The upload that the path names.
    Upload,
    /// A list of datasets, or of what belongs to them: others are left out.
    Listed,
    /// The whole tenant: refused where the caller is limited to datasets.
    Tenant,
    /// All tenants: refused where the caller is limited to datasets.
    AllTenants,
}

/// An endpoint of the REST API.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Method, in capitals.
    pub method: &'static str,
    /// Path, with names in braces.
    pub path: &'static str,
    /// What a request needs.
    pub needs: Needs,
    /// Whose data a request is about.
    pub reach: Reach,
}

impl Endpoint {
    /// Finds the endpoint that serves a method on a route. `HEAD` is served as `GET`.
    pub fn find(method: &str, path: &str) -> Option<&'static Self> {
        let method = match method {
            "HEAD" => "GET",
            other => other,
        };
        ENDPOINTS
            .iter()
            .find(|known| known.method == method && known.path == path)
    }

    /// Returns whether the table has a route, whatever the method.
    pub fn has_path(path: &str) -> bool {
        ENDPOINTS.iter().any(|known| known.path == path)
    }
}

const fn public(method: &'static str, path: &'static str) -> Endpoint {
    Endpoint {
        method,
        path,
        needs: Needs::Nothing,
        reach: Reach::Nothing,
    }
}

const fn known(method: &'static str, path: &'static str) -> Endpoint {
    Endpoint {
        method,
        path,
        needs: Needs::Credential,
        reach: Reach::Nothing,
    }
}

const fn needs(
    method: &'static str,
    path: &'static str,
    actions: &'static [Action],
    reach: Reach,
) -> Endpoint {
    Endpoint {
        method,
        path,
        needs: Needs::OneOf(actions),
        reach,
    }
}

/// Every endpoint of the REST API.
#[rustfmt::skip]
pub const ENDPOINTS: &[Endpoint] = &[
    public("GET", "/healthz"),
    public("GET", "/readyz"),
    public("GET", "/api/v1/openapi.json"),
    known("GET", "/api/v1/me"),
    known("GET", "/api/v1/steps"),
    known("GET", "/api/v1/steps/{step_type}"),
    known("GET", "/api/v1/schema/job"),
    needs("GET", "/api/v1/jobs", &[ReadJobs], Reach::Listed),
    needs("GET", "/api/v1/jobs/{job_id}", &[ReadJobs], Reach::Job),
    needs("DELETE", "/api/v1/jobs/{job_id}", &[CancelJobs], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/attempts", &[ReadJobs], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/events", &[ReadJobs], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/report", &[ReadJobs], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/download", &[ReadData, ReadProvenance], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/files", &[ReadData], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/files/{name}", &[ReadData], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/files/{table}/{name}", &[ReadData], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/provenance", &[ReadProvenance], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/review", &[ReadProvenance], Reach::Job),
    needs("POST", "/api/v1/jobs/{job_id}/review", &[DecideReviews], Reach::Job),
    needs("POST", "/api/v1/jobs/{job_id}/review/publish", &[DecideReviews], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/removed", &[ReadData], Reach::Job),
    needs("GET", "/api/v1/jobs/{job_id}/quarantine", &[ReadData], Reach::Job),
    needs("POST", "/api/v1/datasets/{tenant_id}/ingest", &[SubmitJobs], Reach::NamedDataset),
    needs("GET", "/api/v1/datasets/{tenant_id}", &[ReadJobs], Reach::Listed),
    needs("GET", "/api/v1/datasets/{tenant_id}/{dataset}", &[ReadJobs], Reach::Dataset),
    needs("GET", "/api/v1/datasets/{tenant_id}/{dataset}/versions", &[ReadJobs], Reach::Dataset),
    needs("GET", "/api/v1/datasets/{tenant_id}/{dataset}/versions/{version}", &[ReadJobs], Reach::Dataset),
    needs("GET", "/api/v1/datasets/{tenant_id}/{dataset}/contracts", &[ReadJobs], Reach::Dataset),
    needs("POST", "/api/v1/datasets/{tenant_id}/{dataset}/contracts", &[WriteContracts], Reach::Dataset),
    needs("GET", "/api/v1/rules", &[ReadJobs], Reach::Tenant),
    needs("GET", "/api/v1/rules/{name}", &[ReadJobs], Reach::Tenant),
    needs("PUT", "/api/v1/rules/{name}", &[WriteContracts], Reach::Tenant),
    needs("DELETE", "/api/v1/rules/{name}", &[WriteContracts], Reach::Tenant),
    needs("POST", "/api/v1/uploads", &[SubmitJobs], Reach::Own),
    needs("GET", "/api/v1/uploads/{upload_id}", &[SubmitJobs], Reach::Upload),
    needs("DELETE", "/api/v1/uploads/{upload_id}", &[SubmitJobs], Reach::Upload),
    needs("PUT", "/api/v1/uploads/{upload_id}/parts/{number}", &[SubmitJobs], Reach::Upload),
    needs("POST", "/api/v1/uploads/{upload_id}/complete", &[SubmitJobs], Reach::Upload),
    needs("GET", "/api/v1/audit", &[ReadAudit], Reach::Tenant),
    needs("GET", "/api/v1/audit/verify", &[ReadAudit], Reach::Tenant),
    needs("GET", "/api/v1/audit/export", &[ReadAudit], Reach::Tenant),
    needs("GET", "/api/v1/usage", &[ReadUsage], Reach::Tenant),
    needs("GET", "/api/v1/keys", &[ManageKeys], Reach::Tenant),
    needs("POST", "/api/v1/keys", &[ManageKeys, ManageTenantKeys], Reach::Tenant),
    needs("DELETE", "/api/v1/keys/{key_id}", &[ManageKeys, ManageTenantKeys], Reach::Tenant),
    needs("POST", "/api/v1/keys/{key_id}/rotate", &[ManageKeys], Reach::Tenant),
    needs("GET", "/api/v1/users", &[ManageKeys], Reach::Tenant),
    needs("PATCH", "/api/v1/users/{user_id}", &[ManageKeys], Reach::Tenant),
    needs("POST", "/api/v1/tokens/reveal", &[RevealTokens], Reach::Tenant),
    needs("GET", "/api/v1/tenants", &[ReadTenants], Reach::AllTenants),
    needs("POST", "/api/v1/tenants", &[ManageTenants], Reach::AllTenants),
    needs("PATCH", "/api/v1/tenants/{tenant_id}", &[ManageTenants, SuspendTenants], Reach::AllTenants),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each endpoint is in the table once, needs something, and its reach fits its path.
    #[test]
    fn the_table_is_consistent() {
        let mut seen = BTreeSet::new();
        for endpoint in ENDPOINTS {
            let name = format!("{} {}", endpoint.method, endpoint.path);
            assert!(seen.insert(name.clone()), "{name}");
            let Needs::OneOf(actions) = endpoint.needs else {
                assert_eq!(endpoint.reach, Reach::Nothing, "{name}");
                continue;
            };
            assert!(!actions.is_empty(), "{name}");
            let has = |part: &str| endpoint.path.contains(part);
            assert_eq!(endpoint.reach == Reach::Job, has("{job_id}"), "{name}");
            assert_eq!(
                endpoint.reach == Reach::Upload,
                has("{upload_id}"),
                "{name}"
            );
            assert_eq!(endpoint.reach == Reach::Dataset, has("{dataset}"), "{name}");
            let of_operators = actions.iter().all(|action| action.is_for_operators());
            assert_eq!(endpoint.reach == Reach::AllTenants, of_operators, "{name}");
        }
        for action in Action::ALL {
            let used = ENDPOINTS.iter().any(
                |endpoint| matches!(endpoint.needs, Needs::OneOf(actions) if actions.contains(&action)),
            );
            assert!(used, "no endpoint needs {}", action.name());
        }
    }
}
