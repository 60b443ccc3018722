//! The last resort against paths of the server in what clients read: folders of the service by a name.
//!
//! Plans and errors name files by what statements call them; where a path of the server is in a text
//! all the same, it is replaced here before the text leaves the service.

use std::path::Path;

use crate::engine::EngineOptions;

/// Folders of the service, and what clients read in their place.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathNames {
    /// Text to replace and its name, the longest text first.
    replaced: Vec<(String, &'static str)>,
}

impl PathNames {
    /// The folders of an engine.
    pub(crate) fn of(options: &EngineOptions) -> Self {
        let mut names = Self::default();
        names.add(&options.home.join("warehouse"), "<warehouse>");
        names.add(&options.home.join("staging"), "<staging>");
        names.add(&options.home, "<home>");
        names.add(&options.base, "<base>");
        let length = |(text, _): &(String, &str)| std::cmp::Reverse(text.len());
        names.replaced.sort_by_key(length);
        names.replaced.dedup();
        names
    }

    fn add(&mut self, folder: &Path, name: &'static str) {
        let real = folder.canonicalize().ok();
        let absolute = std::path::absolute(folder).ok();
        let mut forms: Vec<String> = [Some(folder.to_owned()), absolute, real]
            .into_iter()
            .flatten()
            .filter(|path| path.is_absolute())
            .map(|path| path.to_string_lossy().trim_end_matches('/').to_owned())
            .filter(|path| path.len() > 1)
            .collect();
        // As the path of a URL, and as the engine writes it: without the first slash.
        let urls = forms.clone().into_iter().filter_map(|path| {
            let url = url::Url::from_file_path(path).ok()?;
            Some(url.path().to_owned())
        });
        forms.extend(urls.collect::<Vec<_>>());
        let bare = forms.iter().map(|path| path[1..].to_owned());
        forms.extend(bare.collect::<Vec<_>>());
        self.replaced
            .extend(forms.into_iter().map(|form| (form, name)));
    }

    /// Returns the text with names in place of folders, or nothing where it names none.
    pub(crate) fn hide(&self, text: &str) -> Option<String> {
        let mut hidden: Option<String> = None;
        for (folder, name) in &self.replaced {
            let now = hidden.as_deref().unwrap_or(text);
            if let Some(next) = replaced(now, folder, name) {
                hidden = Some(next);
            }
        }
        hidden
    }
}

/// Replaces a path where it stands by itself: not as a part of a longer name.
fn replaced(text: &str, folder: &str, name: &str) -> Option<String> {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut result = String::new();
    let mut rest = 0;
    for (at, _) in text.match_indices(folder) {
        let before = text[..at].chars().next_back();
        let after = text[at + folder.len()..].chars().next();
        let begins = match folder.starts_with('/') {
            true => !before.is_some_and(is_of_name),
            false => !before.is_some_and(|c| is_of_name(c) || c == '/'),
        };
        // A bare word is a path only where something lies below it.
        let ends = match folder.contains('/') {
            true => !after.is_some_and(is_of_name) || after == Some('.'),
            false => after == Some('/'),
        };
        if at >= rest && begins && ends {
            result.push_str(&text[rest..at]);
            result.push_str(name);
            rest = at + folder.len();
        }
    }
    (rest > 0).then(|| result + &text[rest..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Folders are replaced in all their forms, and nothing that only looks like a part of one.
    #[test]
    fn folders_have_names() {
        let options = EngineOptions::new("/srv/da ta/home".into(), "/srv".into());
        let names = PathNames::of(&options);
        for (text, expected) in [
            (
                "/srv/da ta/home/warehouse/a/b.parquet: gone",
                "<warehouse>/a/b.parquet: gone",
            ),
            ("file:///srv/da%20ta/home/x", "file://<home>/x"),
            (
                "[srv/da ta/home/staging/p, srv/a.csv]",
                "[<staging>/p, <base>/a.csv]",
            ),
            ("cannot open /srv", "cannot open <base>"),
        ] {
            assert_eq!(names.hide(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["/data/srv2/x", "srvx/y", "the srv", "/usr/srv/x", "x/srv"] {
            assert_eq!(names.hide(text), None, "{text}");
        }
        let root = PathNames::of(&EngineOptions::new("/h".into(), "/".into()));
        assert_eq!(root.hide("a / b"), None);
    }
}
