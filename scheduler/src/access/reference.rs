//! The reference of the endpoints, `docs/reference/endpoints.md`, generated from their table.

use std::fmt::Write as _;

use super::{Action, ENDPOINTS, Endpoint, Needs, Reach};
use crate::metadata::Role;

/// Returns the page on every endpoint and action, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Endpoints and actions\n\n\
         Generated from the table in `scheduler/src/access/endpoint.rs`, from which the service also checks every \
         request. A route that is not in the table is not served.\n\n\
         ## Actions\n\n\
         A credential may do what its role grants. A key may be limited to some actions (`actions`) and some datasets \
         (`datasets`); both limits also hold for an operator's actions.\n\n\
         | action | admin | data_engineer | reviewer | operator | |\n|---|:-:|:-:|:-:|:-:|---|\n",
    );
    for action in Action::ALL {
        let dot = |granted: bool| if granted { "●" } else { "" };
        let roles = [Role::Admin, Role::DataEngineer, Role::Reviewer];
        let [admin, engineer, reviewer] = roles.map(|role| dot(action.is_of(role)));
        let operator = dot(action.is_for_operators());
        let _ = writeln!(
            page,
            "| `{}` | {admin} | {engineer} | {reviewer} | {operator} | {} |",
            action.name(),
            action.purpose()
        );
    }
    page.push_str(
        "\n## Endpoints\n\n\
         A request without a valid credential is answered with 401, one whose credential lacks the action with 403. \
         What belongs to another tenant, or to a dataset or upload out of the caller's reach, does not exist for the \
         caller: 404.\n\n\
         | method | path | needs | for | about | limited to datasets |\n|---|---|---|---|---|---|\n",
    );
    for endpoint in ENDPOINTS {
        let _ = writeln!(
            page,
            "| {} | `{}` | {} | {} | {} | {} |",
            endpoint.method,
            endpoint.path,
            needs(endpoint),
            audience(endpoint),
            about(endpoint.reach),
            limited(endpoint.reach)
        );
    }
    page
}

fn needs(endpoint: &Endpoint) -> String {
    match endpoint.needs {
        Needs::Nothing => "nothing".to_owned(),
        Needs::Credential => "a credential".to_owned(),
        Needs::OneOf(actions) => {
            let names = actions.iter().map(|action| format!("`{}`", action.name()));
            names.collect::<Vec<_>>().join(" or ")
        }
    }
}

fn audience(endpoint: &Endpoint) -> &'static str {
    match endpoint.needs {
        Needs::Nothing => "everybody",
        Needs::Credential => "tenants",
        Needs::OneOf(actions) => {
            let operators = actions.iter().filter(|action| action.is_for_operators());
            match operators.count() {
                0 => "tenants",
                some if some == actions.len() => "operators",
                _ => "tenants, operators",
            }
        }
    }
}

fn about(reach: Reach) -> &'static str {
    match reach {
        Reach::Nothing => "nobody's data",
        Reach::Own => "an upload of the caller's own",
        Reach::Dataset => "the dataset in the path",
        Reach::NamedDataset => "the dataset that the request names",
        Reach::Job => "the dataset of the job in the path",
        Reach::Upload => "the upload in the path",
        Reach::Listed => "datasets and their jobs",
        Reach::Tenant => "the whole tenant",
        Reach::AllTenants => "all tenants",
    }
}

fn limited(reach: Reach) -> &'static str {
    match reach {
        Reach::Nothing | Reach::Own => "no difference",
        Reach::Dataset | Reach::NamedDataset | Reach::Job => "404 for others",
        Reach::Upload => "404 for uploads of others",
        Reach::Listed => "lists only these",
        Reach::Tenant | Reach::AllTenants => "403",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page in the repository is what the code says.
    #[test]
    fn the_page_is_up_to_date() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/reference/endpoints.md"
        );
        let page = reference();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/reference/endpoints.md is out of date; run with UPDATE_REFERENCE=1"
        );
    }
}
