//! The settings of a session that a client of the service may change and see.
//!
//! Everything else is the operator's: memory, spill files, paths, the catalog, Ballista. What is not
//! listed here is refused, so a setting that a later version of the engine adds is closed.

use crate::error::{Error, Result};
use crate::identifiers::{CATALOG, JOBS};

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// Anything that the engine takes.
    Any,
    /// A whole number from the first to the second.
    Number(usize, usize),
    /// A whole number from 1 to the threads of the server.
    Threads,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// A setting that clients may change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) values: Values,
    /// What it is, for the reference.
    pub(crate) meaning: &'static str,
}

const FLAG: Values = Values::OneOf(&["true", "false"]);

/// Longest value, in bytes.
const VALUE_BYTES: usize = 256;

/// The settings that clients of the service may change and see.
pub(crate) const CLIENT_SETTINGS: &[Setting] = &[
    Setting {
        name: "datafusion.catalog.default_catalog",
        values: Values::OneOf(&[CATALOG, JOBS]),
        meaning: "Catalog in which unqualified names are looked up",
    },
    Setting {
        name: "datafusion.catalog.default_schema",
        values: Values::Any,
        meaning: "Schema in which unqualified names are looked up",
    },
    Setting {
        name: "datafusion.execution.batch_size",
        values: Values::Number(16, 65_536),
        meaning: "Rows of a batch",
    },
    Setting {
        name: "datafusion.execution.target_partitions",
        values: Values::Threads,
        meaning: "Parallel partitions of a statement",
    },
    Setting {
        name: "datafusion.execution.time_zone",
        values: Values::Any,
        meaning: "Time zone of timestamps without one",
    },
    Setting {
        name: "datafusion.explain.format",
        values: Values::OneOf(&["indent", "tree", "pgjson", "graphviz"]),
        meaning: "Format of EXPLAIN",
    },
    Setting {
        name: "datafusion.explain.logical_plan_only",
        values: FLAG,
        meaning: "Whether EXPLAIN shows the logical plan only",
    },
    Setting {
        name: "datafusion.explain.physical_plan_only",
        values: FLAG,
        meaning: "Whether EXPLAIN shows the physical plan only",
    },
    Setting {
        name: "datafusion.explain.show_schema",
        values: FLAG,
        meaning: "Whether EXPLAIN shows schemas",
    },
    Setting {
        name: "datafusion.explain.show_sizes",
        values: FLAG,
        meaning: "Whether EXPLAIN shows sizes of partitions",
    },
    Setting {
        name: "datafusion.explain.show_statistics",
        values: FLAG,
        meaning: "Whether EXPLAIN shows statistics",
    },
    Setting {
        name: "datafusion.sql_parser.default_null_ordering",
        values: Values::OneOf(&["nulls_max", "nulls_min", "nulls_first", "nulls_last"]),
        meaning: "Place of nulls in ORDER BY",
    },
    Setting {
        name: "datafusion.sql_parser.parse_float_as_decimal",
        values: FLAG,
        meaning: "Whether numbers with a point are decimals",
    },
];

/// Returns the setting of a name, as clients may write it.
pub(crate) fn client_setting(name: &str) -> Option<&'static Setting> {
    CLIENT_SETTINGS
        .iter()
        .find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// Refuses to change a setting that is not the client's, and values out of bounds.
///
/// # Errors
/// [`Error::Forbidden`] for a setting of the operator's, [`Error::Invalid`] for a value.
pub(crate) fn check_set(name: &str, value: Option<&str>, threads: usize) -> Result<()> {
    let Some(setting) = client_setting(name) else {
        return Err(Error::Forbidden(format!(
            "the setting {name} belongs to the operator of the service; a client may set {}",
            CLIENT_SETTINGS
                .iter()
                .map(|setting| setting.name)
                .collect::<Vec<_>>()
                .join(", ")
        )));
    };
    let Some(value) = value else { return Ok(()) };
    let refuse = |wanted: String| Err(Error::Invalid(format!("{} must be {wanted}", setting.name)));
    if value.len() > VALUE_BYTES {
        return refuse(format!("at most {VALUE_BYTES} bytes long"));
    }
    let number = |least: usize, most: usize| match value.parse::<usize>() {
        Ok(number) if (least..=most).contains(&number) => Ok(()),
        _ => refuse(format!("a whole number from {least} to {most}")),
    };
    match setting.values {
        Values::Any => Ok(()),
        Values::Number(least, most) => number(least, most),
        Values::Threads => number(1, threads.max(1)),
        Values::OneOf(names) => match names.iter().any(|name| name.eq_ignore_ascii_case(value)) {
            true => Ok(()),
            false => refuse(format!("one of {}", names.join(", "))),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use datafusion::config::ConfigOptions;

    use super::*;

    /// Every setting that is listed is one of the engine's; its bounds let the engine's default pass.
    #[test]
    fn settings_are_the_engines() {
        let entries = ConfigOptions::new().entries();
        for setting in CLIENT_SETTINGS {
            let entry = entries.iter().find(|entry| entry.key == setting.name);
            let value = entry.unwrap_or_else(|| unreachable!("{}", setting.name));
            if !setting.name.starts_with("datafusion.catalog.") {
                let value = value.value.as_deref();
                check_set(setting.name, value, usize::MAX).unwrap();
            }
        }
    }

    /// c5: every setting of the engine that is not listed is refused, whatever its case.
    #[test]
    fn c5_all_other_settings_are_refused() {
        let mut refused = 0;
        let runtime = [
            "datafusion.runtime.memory_limit",
            "datafusion.runtime.temp_directory",
            "datafusion.runtime.max_temp_directory_size",
            "datafusion.runtime.metadata_cache_limit",
            "ballista.job.name",
        ];
        let entries = ConfigOptions::new().entries();
        let names = entries.iter().map(|entry| entry.key.as_str());
        for name in names.chain(runtime) {
            let listed = CLIENT_SETTINGS.iter().any(|setting| setting.name == name);
            for name in [name.to_owned(), name.to_uppercase()] {
                let set = check_set(&name, Some("1"), 4);
                let reset = check_set(&name, None, 4);
                if !listed {
                    assert!(matches!(set, Err(Error::Forbidden(_))), "{name}");
                    assert!(matches!(reset, Err(Error::Forbidden(_))), "{name}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 100, "{refused}");
        for (name, value) in [
            ("datafusion.execution.batch_size", "1"),
            ("datafusion.execution.batch_size", "999999999"),
            ("datafusion.execution.batch_size", "-5"),
            ("datafusion.execution.target_partitions", "5"),
            ("datafusion.execution.target_partitions", "0"),
            ("datafusion.explain.format", "../x"),
        ] {
            assert!(check_set(name, Some(value), 4).is_err(), "{name} = {value}");
        }
    }
}
