//! The reference of the functions, `docs/reference/functions.md`, written from their documentation.

use datafusion::logical_expr::{DocSection, Documentation};

use crate::registry::{aggregate_functions, scalar_functions, window_functions};

const INTRODUCTION: &str = "\
<!-- Written from the code: UPDATE_REFERENCE=1 cargo nextest run -p udfs reference -->

# Functions

What a query can call, beside what [DataFusion](https://datafusion.apache.org/user-guide/sql/) has. \
An argument in brackets may be left out. A text may be of any type that can be shown as one. A null \
gives a null, unless something else is said. A function gives the same on every machine, whatever \
the rows are divided into.
";

/// Returns the whole page, in Markdown.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    let (scalar, aggregate, window) = (
        scalar_functions(),
        aggregate_functions(),
        window_functions(),
    );
    let functions = scalar
        .iter()
        .map(|function| (function.name(), function.documentation()))
        .chain(
            aggregate
                .iter()
                .map(|function| (function.name(), function.documentation())),
        )
        .chain(
            window
                .iter()
                .map(|function| (function.name(), function.documentation())),
        );
    let mut sections: Vec<(&DocSection, Vec<(&str, &Documentation)>)> = Vec::new();
    for (name, documentation) in functions {
        let Some(documentation) = documentation else {
            continue;
        };
        let section = &documentation.doc_section;
        match sections.iter_mut().find(|(known, _)| *known == section) {
            Some((_, entries)) => entries.push((name, documentation)),
            None => sections.push((section, vec![(name, documentation)])),
        }
    }
    for (section, entries) in sections {
        page.push_str(&heading(section));
        let links = entries
            .iter()
            .map(|(name, _)| format!("[{name}](#{name})"))
            .collect::<Vec<_>>();
        page.push_str(&format!("\n{}\n", links.join(" · ")));
        for (name, documentation) in entries {
            page.push_str(&entry(name, documentation));
        }
    }
    page
}

fn heading(section: &DocSection) -> String {
    let mut heading = format!("\n## {}\n", section.label);
    if let Some(description) = section.description {
        heading.push_str(&format!("\n{description}\n"));
    }
    heading
}

/// Returns what the reference says of one function, in Markdown, under a heading of the third level.
pub fn entry(name: &str, documentation: &Documentation) -> String {
    let mut entry = format!(
        "\n### {name}\n\n```sql\n{}\n```\n\n{}\n",
        documentation.syntax_example, documentation.description
    );
    for syntax in documentation.alternative_syntax.iter().flatten() {
        entry.push_str(&format!("\n```sql\n{syntax}\n```\n"));
    }
    if let Some(arguments) = &documentation.arguments {
        entry.push('\n');
        for (name, description) in arguments {
            entry.push_str(&format!("- `{name}`: {description}\n"));
        }
    }
    if let Some(example) = &documentation.sql_example {
        entry.push_str(&format!("\n{}\n", example.trim()));
    }
    if let Some(related) = &documentation.related_udfs {
        let links: Vec<String> = related
            .iter()
            .map(|name| format!("[{name}](#{name})"))
            .collect();
        entry.push_str(&format!("\nSee also {}.\n", links.join(", ")));
    }
    entry
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// The page in the repository is what the code says.
    #[test]
    fn the_page_is_up_to_date() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/reference/functions.md"
        );
        let page = reference();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/reference/functions.md is not what the code says: write it anew with \
             UPDATE_REFERENCE=1 cargo nextest run -p udfs reference"
        );
    }

    /// Each function is on the page once, and links lead to functions.
    #[test]
    fn every_function_is_on_the_page() {
        let page = reference();
        let functions =
            scalar_functions().len() + aggregate_functions().len() + window_functions().len();
        assert_eq!(page.matches("\n### ").count(), functions);
        for link in page.split("](#").skip(1) {
            let name = link.split(')').next().unwrap();
            assert!(page.contains(&format!("\n### {name}\n")), "{name}");
        }
    }
}
