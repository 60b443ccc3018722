//! From locations as people write them to files in a fixed order.

use std::fs;
use std::path::{Path, PathBuf};

use url::Url;

use super::error::SourceError;
use super::options::{Format, SourceOptions};
use crate::storage::{ObjectPlace, Place, scheme};

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// As it is shown: the location as given, and what is below it.
    pub shown: String,
    pub at: Whereabouts,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Where it can be read in any order.
    Place(Place),
    /// Where it must be fetched from first.
    Web(Url),
}

impl Located {
    fn local(shown: String, path: PathBuf) -> Self {
        Self {
            shown,
            at: Whereabouts::Place(Place::Local(path)),
        }
    }
}

/// Characters of a pattern.
const GLOB: [char; 3] = ['*', '?', '['];

/// How patterns are matched.
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Directories nested deeper are a loop of links.
const MAX_DEPTH: usize = 32;

/// Expands `locations` to files: paths and URLs of files, directories and globs, relative ones below
/// `base_dir`, and addresses of documents of the web. The files of a directory or glob come in the
/// order of their names; those hidden, beginning with `_`, or of no readable format are left out,
/// which is told in `notes`.
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
        let refuse = |reason: String| SourceError::Location {
            location: location.clone(),
            reason,
        };
        if let Some(url) = web_address(location).map_err(refuse)? {
            files.push(url);
            continue;
        }
        let place = Place::parse(location, base_dir, options.credentials.as_ref());
        let full = match place.map_err(refuse)? {
            Place::Local(path) => path,
            Place::Object(object) => {
                find_objects(location, &object, options, &mut files, notes)?;
                continue;
            }
        };
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
            files.push(Located::local(location.clone(), full));
        } else if location.contains(GLOB) {
            expand_glob(location, &full, options, &mut files)?;
        } else {
            return Err(SourceError::NotFound {
                location: location.clone(),
                reason: format!("{} does not exist", full.display()),
            });
        }
    }
    for file in &mut files {
        let named = options.shown_as.iter();
        let named = named
            .into_iter()
            .find(|(location, _)| *location == file.shown);
        if let Some((_, name)) = named {
            file.shown.clone_from(name);
        }
    }
    Ok(files)
}

/// The document of the web that a location names, if it does.
fn web_address(location: &str) -> Result<Option<Located>, String> {
    let scheme = scheme(location).map(str::to_ascii_lowercase);
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return Ok(None);
    }
    let url = Url::parse(location).map_err(|e| format!("not a URL: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a location holds no user name and no password".to_owned());
    }
    // What follows a question mark may be a key.
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    Ok(Some(Located {
        shown: shown.into(),
        at: Whereabouts::Web(url),
    }))
}

/// The objects that a location of a store means: one, those below it, or those that a pattern
/// matches.
fn find_objects(
    location: &str,
    object: &ObjectPlace,
    options: &SourceOptions,
    files: &mut Vec<Located>,
    notes: &mut Vec<String>,
) -> Result<(), SourceError> {
    let failed = |doing, e| SourceError::io(location, doing, e);
    let not_found = |reason: String| SourceError::NotFound {
        location: location.to_owned(),
        reason,
    };
    let mut refusal = None;
    if !object.key().is_empty() && !location.ends_with('/') {
        match object.head() {
            Ok(_) => {
                files.push(Located {
                    shown: location.to_owned(),
                    at: Whereabouts::Place(object.into()),
                });
                return Ok(());
            }
            // Some stores keep folders, of which they tell nothing; what lies below decides.
            Err(e) => refusal = Some(e).filter(|e| e.kind() != std::io::ErrorKind::NotFound),
        }
    }
    let is_glob = object.key().contains(GLOB);
    // What comes before the part of a pattern that stands for something else.
    let fixed = match object.key().find(GLOB) {
        None => object.key(),
        Some(at) => object.key()[..at]
            .rsplit_once('/')
            .map_or("", |(above, _)| above),
    };
    let pattern = glob::Pattern::new(object.key()).map_err(|e| SourceError::Location {
        location: location.to_owned(),
        reason: format!("not a pattern: {e}"),
    })?;
    let above = object.sibling(fixed);
    let listed = above.list().map_err(|e| failed("list", e))?;
    let mut ignored = 0;
    let before = files.len();
    for found in listed {
        let found = object.sibling(found.location.as_ref());
        let key = found.key();
        let below = key
            .strip_prefix(fixed)
            .unwrap_or(key)
            .trim_start_matches('/');
        if below.split('/').any(is_left_out) || (is_glob && !pattern.matches_with(key, MATCHING)) {
            continue;
        }
        let told = is_glob && (options.format.is_some() || ends_in_own_way(location));
        if told || Format::of_name(key).is_some() {
            files.push(Located {
                shown: found.to_string(),
                at: Whereabouts::Place((&found).into()),
            });
        } else {
            ignored += 1;
        }
    }
    if files.len() == before {
        if let Some(e) = refusal {
            return Err(failed("read", e));
        }
        return Err(not_found(match is_glob {
            true => "no readable object matches the pattern".to_owned(),
            false => format!(
                "there is no such object, and none of a readable format below it ({ignored} others)"
            ),
        }));
    }
    if ignored > 0 && !is_glob {
        notes.push(format!(
            "{location}: {ignored} object(s) of no readable format were left out"
        ));
    }
    // Folder by folder, as on a file system.
    files[before..].sort_by(|left, right| left.shown.split('/').cmp(right.shown.split('/')));
    Ok(())
}

/// Whether a pattern has an ending of its own, and so says what it means; `*` alone does not.
fn ends_in_own_way(location: &str) -> bool {
    let last = location.rsplit('/').next();
    last.is_some_and(|last| last.contains('.'))
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
            files.push(Located::local(shown, path));
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
    let found = glob::glob_with(&pattern, MATCHING).map_err(|e| SourceError::Location {
        location: location.to_owned(),
        reason: format!("not a pattern: {e}"),
    })?;
    let mut matched: Vec<PathBuf> = Vec::new();
    for path in found {
        let path = path.map_err(|e| {
            let shown = e.path().display().to_string();
            SourceError::io(&shown, "list", e.into())
        })?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        let Some(name) = name else { continue };
        let readable = options.format.is_some()
            || Format::of_name(&name).is_some()
            || ends_in_own_way(location);
        if path.is_file() && !is_left_out(&name) && readable {
            matched.push(path);
        }
    }
    if matched.is_empty() {
        return Err(SourceError::NotFound {
            location: location.to_owned(),
            reason: "no readable file matches the pattern".to_owned(),
        });
    }
    matched.sort();
    let located = matched.into_iter();
    files.extend(located.map(|path| Located::local(path.display().to_string(), path)));
    Ok(())
}
