//! Expansion of locations to files in a fixed order.

use std::path::{Component, Path, PathBuf};

use super::error::SourceError;
use super::options::{Format, SourceOptions};
use planner_storage::{FileKind, LocalPath, Location, LocationPolicy, ObjectPlace, Place};

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// Display name: the location as given, and the path below it.
    pub shown: String,
    pub at: Location,
}

impl Located {
    fn local(shown: String, path: LocalPath) -> Self {
        Self {
            shown,
            at: Location::Place(Place::Local(path)),
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

/// Directories nested deeper are treated as a loop of links.
const MAX_DEPTH: usize = 32;

/// Expands `locations`, as far as the policy permits, to files: paths and URLs of files, directories and globs, and web
/// addresses. The files of a directory or glob are ordered by name; hidden files, those beginning with `_`, and those
/// of no readable format are skipped and reported in `notes`.
pub(super) fn locate(
    locations: &[String],
    policy: &LocationPolicy,
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
        let checked = policy.check(location, options.credentials.as_ref());
        let checked = checked.map_err(|error| SourceError::Location {
            location: location.clone(),
            reason: error.to_string(),
        })?;
        match checked {
            Location::Web(address) => files.push(Located {
                shown: address.to_string(),
                at: Location::Web(address),
            }),
            Location::Place(Place::Object(object)) => {
                find_objects(location, &object, options, &mut files, notes)?;
            }
            Location::Place(Place::Local(path)) => {
                let search = LocalSearch {
                    location,
                    policy,
                    options,
                };
                search.find(&path, &mut files, notes)?;
            }
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

/// Finds the objects of a store location: one object, those below it, or those that match a pattern.
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
                    at: Location::Place(object.into()),
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
                at: Location::Place((&found).into()),
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
                "no such object exists, and none of a readable format below it ({ignored} others)"
            ),
        }));
    }
    if ignored > 0 && !is_glob {
        notes.push(format!(
            "{location}: {ignored} object(s) of no readable format were skipped"
        ));
    }
    // Folder by folder, as on a file system.
    files[before..].sort_by(|left, right| left.shown.split('/').cmp(right.shown.split('/')));
    Ok(())
}

/// Returns whether a pattern has a file extension, and so selects files explicitly; `*` alone does not.
fn ends_in_own_way(location: &str) -> bool {
    let last = location.rsplit('/').next();
    last.is_some_and(|last| last.contains('.'))
}

fn is_left_out(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// A search for the files of one location of a file system.
struct LocalSearch<'a> {
    location: &'a str,
    policy: &'a LocationPolicy,
    options: &'a SourceOptions,
}

impl LocalSearch<'_> {
    /// Finds the file at the location, or the files below it, or those that match it.
    fn find(
        &self,
        path: &LocalPath,
        files: &mut Vec<Located>,
        notes: &mut Vec<String>,
    ) -> Result<(), SourceError> {
        let location = self.location;
        match path.facts().map(|facts| facts.kind) {
            Ok(FileKind::Folder) => {
                let before = files.len();
                let mut ignored = 0;
                let shown = location.trim_end_matches('/');
                self.walk(path, shown, files, &mut ignored, 0)?;
                if files.len() == before {
                    return Err(self.not_found(format!(
                        "the directory holds no file of a readable format ({ignored} others)"
                    )));
                }
                if ignored > 0 {
                    notes.push(format!(
                        "{location}: {ignored} file(s) of no readable format were skipped"
                    ));
                }
                Ok(())
            }
            _ if path.is_there() => {
                files.push(Located::local(location.to_owned(), path.clone()));
                Ok(())
            }
            _ if location.contains(GLOB) => {
                let mut matched = match path.root() {
                    Some(_) => self.match_beneath(path)?,
                    None => self.match_anywhere(path.as_path())?,
                };
                if matched.is_empty() {
                    return Err(self.not_found("no readable file matches the pattern".to_owned()));
                }
                matched.sort_by(|left, right| left.as_path().cmp(right.as_path()));
                let found = matched.into_iter();
                files.extend(found.map(|path| Located::local(self.shown(&path), path)));
                Ok(())
            }
            _ => Err(self.not_found(match path.root() {
                Some(_) => "it does not exist".to_owned(),
                None => format!("{} does not exist", path.as_path().display()),
            })),
        }
    }

    fn not_found(&self, reason: String) -> SourceError {
        SourceError::NotFound {
            location: self.location.to_owned(),
            reason,
        }
    }

    /// Returns the display name of a file that matches a pattern: beneath a root, as the pattern was written.
    fn shown(&self, path: &LocalPath) -> String {
        let full = path.as_path();
        let relative = match path.root() {
            Some(_) if Path::new(self.location).is_relative() => {
                full.strip_prefix(self.policy.base()).ok()
            }
            _ => None,
        };
        relative.unwrap_or(full).display().to_string()
    }

    fn walk(
        &self,
        folder: &LocalPath,
        shown: &str,
        files: &mut Vec<Located>,
        ignored: &mut usize,
        depth: usize,
    ) -> Result<(), SourceError> {
        let entries = folder.entries();
        let entries = entries.map_err(|error| SourceError::io(shown, "list", error))?;
        for (name, kind) in entries {
            if is_left_out(&name) {
                continue;
            }
            let path = folder.join(&name);
            if self.policy.is_closed(&path) {
                continue;
            }
            let shown = format!("{shown}/{name}");
            match kind {
                FileKind::Folder if depth >= MAX_DEPTH => {
                    return Err(SourceError::Location {
                        location: shown,
                        reason: "directories are nested too deeply".to_owned(),
                    });
                }
                FileKind::Folder => self.walk(&path, &shown, files, ignored, depth + 1)?,
                FileKind::File if Format::of_name(&name).is_some() => {
                    files.push(Located::local(shown, path));
                }
                FileKind::File | FileKind::Other => *ignored += 1,
            }
        }
        Ok(())
    }

    /// Returns whether a file of this name is selected by a pattern.
    fn is_meant(&self, name: &str) -> bool {
        let readable = self.options.format.is_some()
            || Format::of_name(name).is_some()
            || ends_in_own_way(self.location);
        readable && !is_left_out(name)
    }

    fn malformed(&self, error: &glob::PatternError) -> SourceError {
        SourceError::Location {
            location: self.location.to_owned(),
            reason: format!("not a pattern: {error}"),
        }
    }

    /// Finds the files that match a pattern, following links.
    fn match_anywhere(&self, full: &Path) -> Result<Vec<LocalPath>, SourceError> {
        let pattern = full.to_string_lossy();
        let found = glob::glob_with(&pattern, MATCHING).map_err(|e| self.malformed(&e))?;
        let mut matched = Vec::new();
        for path in found {
            let path: PathBuf = path.map_err(|e| {
                let shown = e.path().display().to_string();
                SourceError::io(&shown, "list", e.into())
            })?;
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            if path.is_file() && name.is_some_and(|name| self.is_meant(&name)) {
                matched.push(LocalPath::own(path));
            }
        }
        Ok(matched)
    }

    /// Finds the files beneath a root that match a pattern, without following links.
    fn match_beneath(&self, full: &LocalPath) -> Result<Vec<LocalPath>, SourceError> {
        let mut at = full.clone();
        while at.parent() != at && !at.name().as_os_str().is_empty() {
            at = at.parent();
        }
        let mut steps = Vec::new();
        for component in full.name().components() {
            let Component::Normal(name) = component else {
                continue;
            };
            let name = name.to_string_lossy();
            steps.push(match name.as_ref() {
                "**" => None,
                name => Some(glob::Pattern::new(name).map_err(|e| self.malformed(&e))?),
            });
        }
        let mut matched = Vec::new();
        self.match_steps(&at, &steps, &mut matched, 0)?;
        matched.dedup();
        Ok(matched)
    }

    /// Matches the components of a pattern from a folder on; `**` matches any number of folders.
    fn match_steps(
        &self,
        folder: &LocalPath,
        steps: &[Option<glob::Pattern>],
        matched: &mut Vec<LocalPath>,
        depth: usize,
    ) -> Result<(), SourceError> {
        let Some((step, later)) = steps.split_first() else {
            return Ok(());
        };
        if depth > MAX_DEPTH {
            return Err(SourceError::Location {
                location: self.location.to_owned(),
                reason: "directories are nested too deeply".to_owned(),
            });
        }
        if step.is_none() {
            self.match_steps(folder, later, matched, depth)?;
        }
        let entries = match folder.entries() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(SourceError::io(self.location, "list", error)),
        };
        for (name, kind) in entries {
            let path = folder.join(&name);
            if self.policy.is_closed(&path) {
                continue;
            }
            match (step, kind) {
                (None, FileKind::Folder) if !name.starts_with('.') => {
                    self.match_steps(&path, steps, matched, depth + 1)?;
                }
                (Some(pattern), _) if !pattern.matches_with(&name, MATCHING) => {}
                (Some(_), FileKind::Folder) => {
                    self.match_steps(&path, later, matched, depth + 1)?;
                }
                (Some(_), FileKind::File) if later.is_empty() && self.is_meant(&name) => {
                    matched.push(path);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
