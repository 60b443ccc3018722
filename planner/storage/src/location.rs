//! From a text to a place: the one function that decides what a location is, and whether its author may name it.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::local::LocalPath;
use super::place::{ObjectPlace, Place};
use planner_base::Secret;

/// A location that was checked and may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file, a folder, or objects of a store.
    Place(Place),
    /// A document of the web, which must be fetched first.
    Web(WebAddress),
}

/// The address of a document of the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress {
    url: Url,
    within: Option<Vec<Url>>,
}

impl WebAddress {
    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns what it and every redirect must begin with; anything when none.
    #[must_use]
    pub fn within(&self) -> Option<&[Url]> {
        self.within.as_deref()
    }
}

/// Why a location is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The text is not a location.
    #[error("{0}")]
    Malformed(String),
    /// Its author may not name it.
    #[error("it is not among the locations that may be named here")]
    Refused,
}

/// Decides which locations a user may name, and what they refer to.
///
/// There is no other way from a text to a [`Place`].
#[derive(Debug, Clone)]
pub struct LocationPolicy {
    base: PathBuf,
    reach: Reach,
    named: Arc<BTreeMap<String, Place>>,
}

#[derive(Debug, Clone)]
enum Reach {
    /// Every location: the author runs the process.
    Everything,
    /// Locations below one of these roots.
    Below(Arc<Roots>),
}

/// Roots of reads and writes.
#[derive(Debug, Default)]
struct Roots {
    folders: Vec<Folder>,
    objects: Vec<ObjectPlace>,
    web: Vec<Url>,
    /// Paths of the service itself: its databases, keys and outputs.
    closed: Vec<PathBuf>,
}

/// A folder, or a single file, that may be named.
#[derive(Debug)]
struct Folder {
    /// The path as configured, made absolute.
    given: PathBuf,
    /// The path without links.
    real: PathBuf,
}

/// Returns the scheme of a location that is a URL.
pub(crate) fn scheme(location: &str) -> Option<&str> {
    let (scheme, _) = location.split_once("://")?;
    let first = scheme.chars().next()?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (first.is_ascii_alphabetic() && scheme.chars().all(named)).then_some(scheme)
}

/// A parsed location, not checked yet.
enum Named {
    Path(PathBuf),
    Object(ObjectPlace),
    Web(Url),
}

impl LocationPolicy {
    /// Returns a policy that allows every location that the process can reach; relative paths start at `base`.
    pub fn everything(base: impl Into<PathBuf>) -> Self {
        Self {
            base: base.into(),
            reach: Reach::Everything,
            named: Arc::default(),
        }
    }

    /// Returns a policy that allows locations below these roots, each a folder, a file, or a prefix of URLs; without
    /// roots, none. Paths in `closed` and below are denied, whatever the roots are.
    ///
    /// # Errors
    /// When a root is not a location.
    pub fn below<'a>(
        base: impl Into<PathBuf>,
        roots: impl IntoIterator<Item = &'a str>,
        closed: &[PathBuf],
    ) -> Result<Self, LocationError> {
        let base = base.into();
        let mut below = Roots {
            closed: closed.iter().map(|path| real(path)).collect(),
            ..Roots::default()
        };
        for root in roots {
            match parse(root, &base, None)? {
                Named::Path(path) => {
                    let given = std::path::absolute(&path)
                        .map_err(|error| LocationError::Malformed(format!("{root}: {error}")))?;
                    let given = plain(&given).ok_or_else(|| {
                        LocationError::Malformed(format!("{root}: expected a path without .."))
                    })?;
                    let real = real(&given);
                    below.folders.push(Folder { given, real });
                }
                Named::Object(object) => below.objects.push(object),
                Named::Web(url) => below.web.push(url),
            }
        }
        Ok(Self {
            base,
            reach: Reach::Below(Arc::new(below)),
            named: Arc::default(),
        })
    }

    /// Defines a name of the service, such as `upload:ID`, as an alias of a place.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>, place: Place) -> Self {
        Arc::make_mut(&mut self.named).insert(name.into(), place);
        self
    }

    /// Returns the folder where relative paths start.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Returns whether every location is allowed.
    pub fn is_unlimited(&self) -> bool {
        matches!(self.reach, Reach::Everything)
    }

    /// Resolves a location if its author may name it: a path, relative to the base; the URL of a local file
    /// (`file:///…`), an object (`s3://`, `gs://`, `az://`, `abfs://`) or a document of the web; or a name of the
    /// service.
    ///
    /// # Errors
    /// When the text is not a location, or one that may not be named.
    pub fn check(
        &self,
        text: &str,
        credentials: Option<&Secret>,
    ) -> Result<Location, LocationError> {
        if let Some(place) = self.named.get(text) {
            return Ok(Location::Place(place.clone()));
        }
        let named = parse(text, &self.base, credentials)?;
        let Reach::Below(roots) = &self.reach else {
            return Ok(match named {
                Named::Path(path) => Location::Place(Place::own(path)),
                Named::Object(object) => Location::Place(Place::Object(object)),
                Named::Web(url) => Location::Web(WebAddress { url, within: None }),
            });
        };
        match named {
            Named::Path(path) => Ok(Location::Place(Place::Local(roots.local(&path)?))),
            Named::Object(object) => match roots.objects.iter().any(|root| root.covers(&object)) {
                true => Ok(Location::Place(Place::Object(object))),
                false => Err(LocationError::Refused),
            },
            Named::Web(url) => match roots.web.iter().any(|root| covers(root, &url)) {
                true => Ok(Location::Web(WebAddress {
                    url,
                    within: Some(roots.web.clone()),
                })),
                false => Err(LocationError::Refused),
            },
        }
    }

    /// Resolves a location that must be a place.
    ///
    /// # Errors
    /// As [`LocationPolicy::check`], and for web addresses.
    pub fn place(&self, text: &str, credentials: Option<&Secret>) -> Result<Place, LocationError> {
        match self.check(text, credentials)? {
            Location::Place(place) => Ok(place),
            Location::Web(_) => Err(LocationError::Malformed(
                "expected a path or a URL of one of file, s3, gs, az, abfs".to_owned(),
            )),
        }
    }

    /// Returns whether an entry of a listed folder belongs to the service itself.
    pub fn is_closed(&self, entry: &LocalPath) -> bool {
        match &self.reach {
            Reach::Everything => false,
            Reach::Below(roots) => roots.is_closed([entry.as_path()]),
        }
    }

    /// Returns a fingerprint of the policy: with equal fingerprints, equal texts resolve to the same places.
    pub fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.base, self.reach)
    }
}

impl Roots {
    /// Resolves a path below one of the roots.
    fn local(&self, path: &Path) -> Result<LocalPath, LocationError> {
        let path = plain(path).ok_or(LocationError::Refused)?;
        for folder in &self.folders {
            for start in [&folder.given, &folder.real] {
                let Ok(rest) = path.strip_prefix(start) else {
                    continue;
                };
                // A file that may be named alone is reached from its folder.
                let (root, name) = match (folder.real.is_file(), rest.as_os_str().is_empty()) {
                    (false, _) => (folder.real.as_path(), rest),
                    (true, true) => match (folder.real.parent(), folder.real.file_name()) {
                        (Some(parent), Some(name)) => (parent, Path::new(name)),
                        _ => continue,
                    },
                    (true, false) => continue,
                };
                let beneath = LocalPath::beneath(root, name).map_err(|_| LocationError::Refused)?;
                if !self.is_closed(beneath.as_path().ancestors()) {
                    return Ok(beneath);
                }
            }
        }
        Err(LocationError::Refused)
    }

    /// Returns whether one of these paths is closed, by name or by identity in the file system.
    fn is_closed<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) -> bool {
        if self.closed.is_empty() {
            return false;
        }
        let identity = |path: &Path| {
            let found = std::fs::symlink_metadata(path).ok()?;
            Some((found.dev(), found.ino()))
        };
        let closed: Vec<_> = self
            .closed
            .iter()
            .filter_map(|path| identity(path))
            .collect();
        paths.into_iter().any(|path| {
            self.closed.iter().any(|closed| path == closed)
                || identity(path).is_some_and(|found| closed.contains(&found))
        })
    }
}

/// Parses a location without checking who may name it. Schemes are decided here and nowhere else.
fn parse(text: &str, base: &Path, credentials: Option<&Secret>) -> Result<Named, LocationError> {
    let malformed = |problem: String| Err(LocationError::Malformed(problem));
    if text.trim().is_empty() {
        return malformed("the location is empty".to_owned());
    }
    if text.contains('\0') {
        return malformed("a location must not contain NUL".to_owned());
    }
    let Some(scheme) = scheme(text) else {
        return Ok(Named::Path(base.join(text)));
    };
    let rest = &text[scheme.len() + 3..];
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "file" => {
            let path = Url::parse(text)
                .ok()
                .and_then(|url| url.to_file_path().ok());
            match path {
                Some(path) => Ok(Named::Path(path)),
                None => {
                    malformed("not the URL of a local file (file:///path is expected)".to_owned())
                }
            }
        }
        "http" | "https" => match Url::parse(text) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                malformed("a location holds no user name and no password".to_owned())
            }
            Ok(url) => Ok(Named::Web(url)),
            Err(error) => malformed(format!("not a URL: {error}")),
        },
        "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" => {
            ObjectPlace::parse(&scheme, rest, credentials)
                .map(Named::Object)
                .or_else(malformed)
        }
        _ => malformed(format!(
            "the scheme {scheme}:// is not supported; expected a path or one of file, s3, gs, az, abfs, http, https"
        )),
    }
}

/// Returns an absolute path without `.` and `..`; `None` where only the file system could resolve it.
fn plain(path: &Path) -> Option<PathBuf> {
    let detour = path.components().any(|part| part == Component::ParentDir);
    (path.is_absolute() && !detour).then(|| path.components().collect())
}

/// Resolves the links of a path. Components that do not exist yet are kept.
fn real(path: &Path) -> PathBuf {
    let known = path.ancestors().find_map(|known| {
        let real = known.canonicalize().ok()?;
        let rest = path.strip_prefix(known).ok()?;
        Some(match rest.as_os_str().is_empty() {
            true => real,
            false => real.join(rest),
        })
    });
    known.unwrap_or_else(|| path.to_owned())
}

/// Returns whether a URL is below a root. A URL that servers may interpret differently is not.
pub fn covers(root: &Url, url: &Url) -> bool {
    let same = root.scheme() == url.scheme()
        && root.host() == url.host()
        && root.port_or_known_default() == url.port_or_known_default();
    let (below, path) = (root.path(), url.path());
    let encoded = path.to_ascii_lowercase();
    let disguised = ["%2e", "%2f", "%5c", "%00", "\\"]
        .iter()
        .any(|part| encoded.contains(part));
    same && !disguised
        && (path == below
            || path
                .strip_prefix(below)
                .is_some_and(|rest| below.ends_with('/') || rest.starts_with('/')))
}

/// Locations that each tenant may name. A tenant without any may name none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantRoots {
    everyone: Vec<String>,
    tenants: BTreeMap<String, Vec<String>>,
}

impl TenantRoots {
    /// Parses roots as written on a command line: `TENANT=LOCATION`, or `LOCATION` for all tenants.
    pub fn parse<'a>(roots: impl IntoIterator<Item = &'a str>) -> Self {
        let mut read = Self::default();
        for root in roots {
            match root.split_once('=') {
                // A path or URL may have an equals sign too.
                Some((tenant, location)) if !tenant.contains(['/', ':', '\\']) => {
                    let of = read.tenants.entry(tenant.to_owned()).or_default();
                    of.push(location.to_owned());
                }
                _ => read.everyone.push(root.to_owned()),
            }
        }
        read
    }

    /// Returns the roots of a tenant.
    pub fn of(&self, tenant: &str) -> impl Iterator<Item = &str> {
        let own = self.tenants.get(tenant).into_iter().flatten();
        self.everyone.iter().chain(own).map(String::as_str)
    }

    /// Returns the roots of all tenants.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let own = self.tenants.values().flatten();
        self.everyone.iter().chain(own).map(String::as_str)
    }
}

impl fmt::Display for WebAddress {
    /// Omits the query of a URL, which may hold a key.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        shown.fmt(to)
    }
}
