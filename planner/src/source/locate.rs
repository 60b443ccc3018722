//! From locations as people write them to files in a fixed order.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::options::{Format, SourceOptions};

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// As it is shown: the location as given, and what is below it.
    pub shown: String,
    pub path: PathBuf,
}

/// Directories nested deeper are a loop of links.
const MAX_DEPTH: usize = 32;

/// Expands `locations` to files: paths and `file://` URLs of files, directories and globs, relative
/// ones below `base_dir`. The files of a directory or glob come in the order of their names; those
/// hidden, beginning with `_`, or of no readable format are left out, which is told in `notes`.
pub(super) fn locate(
    locations: &[String],
    base_dir: &Path,
    options: &SourceOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<Located>, SourceError> {
    let mut files = Vec::new();
    if locations.is_empty() {
        return Err(SourceError::NotFound {
            location: "source".to_owned(),
            reason: "no location is given".to_owned(),
        });
    }
    for location in locations {
        let path = local_path(location)?;
        let full = base_dir.join(&path);
        if full.is_dir() {
            let before = files.len();
            let mut ignored = 0;
            walk(
                &full,
                location.trim_end_matches('/'),
                &mut files,
                &mut ignored,
                0,
            )?;
            if files.len() == before {
                return Err(SourceError::NotFound {
                    location: location.clone(),
                    reason: format!(
                        "the directory holds no file of a readable format ({ignored} others)"
                    ),
                });
            }
            if ignored > 0 {
                notes.push(format!(
                    "{location}: {ignored} file(s) of no readable format were left out"
                ));
            }
        } else if fs::symlink_metadata(&full).is_ok() {
            files.push(Located {
                shown: location.clone(),
                path: full,
            });
        } else if path.to_string_lossy().contains(['*', '?', '[']) {
            expand_glob(location, &full, options, &mut files)?;
        } else {
            return Err(SourceError::NotFound {
                location: location.clone(),
                reason: format!("{} does not exist", full.display()),
            });
        }
    }
    Ok(files)
}

/// The local path that a location names.
fn local_path(location: &str) -> Result<PathBuf, SourceError> {
    let refuse = |reason: String| SourceError::Location {
        location: location.to_owned(),
        reason,
    };
    if location.trim().is_empty() {
        return Err(refuse("the location is empty".to_owned()));
    }
    let Some((scheme, _)) = location.split_once("://") else {
        return Ok(PathBuf::from(location));
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(refuse(format!(
            "locations of the scheme {scheme}:// cannot be read yet; a local path or a file:// URL is expected"
        )));
    }
    let url = url::Url::parse(location).map_err(|e| refuse(format!("not a URL: {e}")))?;
    url.to_file_path()
        .map_err(|()| refuse("not the URL of a local file (file:///path is expected)".to_owned()))
}

fn is_left_out(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn walk(
    directory: &Path,
    shown: &str,
    files: &mut Vec<Located>,
    ignored: &mut usize,
    depth: usize,
) -> Result<(), SourceError> {
    let failed = |e| SourceError::io(shown, "list", e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    entries.sort();
    for (name, path) in entries {
        if is_left_out(&name) {
            continue;
        }
        let shown = format!("{shown}/{name}");
        if path.is_dir() {
            if depth >= MAX_DEPTH {
                return Err(SourceError::Location {
                    location: shown,
                    reason: "directories are nested too deeply".to_owned(),
                });
            }
            walk(&path, &shown, files, ignored, depth + 1)?;
        } else if path.is_file() && Format::of_name(&name).is_some() {
            files.push(Located { shown, path });
        } else {
            *ignored += 1;
        }
    }
    Ok(())
}

fn expand_glob(
    location: &str,
    full: &Path,
    options: &SourceOptions,
    files: &mut Vec<Located>,
) -> Result<(), SourceError> {
    let pattern = full.to_string_lossy();
    let matching = glob::MatchOptions {
        require_literal_leading_dot: true,
        require_literal_separator: true,
        ..glob::MatchOptions::default()
    };
    let found = glob::glob_with(&pattern, matching).map_err(|e| SourceError::Location {
        location: location.to_owned(),
        reason: format!("not a pattern: {e}"),
    })?;
    let before = files.len();
    for path in found {
        let path = path.map_err(|e| {
            let shown = e.path().display().to_string();
            SourceError::io(&shown, "list", e.into())
        })?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        let Some(name) = name else { continue };
        // A pattern with an ending of its own says what it means; `*` alone does not.
        let readable = options.format.is_some()
            || Format::of_name(&name).is_some()
            || location
                .rsplit('/')
                .next()
                .is_some_and(|last| last.contains('.'));
        if path.is_file() && !is_left_out(&name) && readable {
            files.push(Located {
                shown: path.display().to_string(),
                path,
            });
        }
    }
    if files.len() == before {
        return Err(SourceError::NotFound {
            location: location.to_owned(),
            reason: "no readable file matches the pattern".to_owned(),
        });
    }
    files[before..].sort_by(|a, b| a.path.cmp(&b.path));
    Ok(())
}
