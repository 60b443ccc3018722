//! Normalises web addresses (RFC 3986, section 6.2; the parser is that of the WHATWG).
//!
//! Host and scheme in lower case, no default port, an ASCII host, dots in the path resolved, an empty path written as
//! `/`. User names and passwords before the host are removed: an address that is passed on must not contain them.

use ::url::{Host, Url};

use super::cell::{CellKernel, Verdict};

/// Longer text is no address: browsers' limits are below.
const LONGEST: usize = 8192;

/// Confidence in `https` where the scheme was left out.
const SCHEME_ADDED: f32 = 0.9;
/// Confidence in a repaired slip of the keyboard (`http//`, `http:/`).
const REPAIRED: f32 = 0.8;

/// Schemes that an address may have; others are no place on the web.
const SCHEMES: [&str; 7] = ["http", "https", "ftp", "ftps", "sftp", "ws", "wss"];

/// Writes web addresses in their normal notation; without a scheme, `https` is added.
#[derive(Debug, Clone, Copy, Default)]
pub struct NormalizeUrl;

impl CellKernel for NormalizeUrl {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        if is_clean(cell.as_bytes()) {
            return Verdict::Same;
        }
        if cell.len() > LONGEST {
            return Verdict::Invalid;
        }
        match read(cell.trim()) {
            None => Verdict::Invalid,
            Some((url, _)) if url.as_str() == cell => Verdict::Same,
            Some((url, confidence)) => {
                out.push_str(url.as_str());
                Verdict::Changed(confidence)
            }
        }
    }
}

/// Whether this is an address of the common kind in its normal notation.
fn is_clean(cell: &[u8]) -> bool {
    let rest = match cell {
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', rest @ ..] => rest,
        [b'h', b't', b't', b'p', b':', b'/', b'/', rest @ ..] => rest,
        _ => return false,
    };
    let Some(slash) = memchr::memchr(b'/', rest) else {
        return false;
    };
    is_clean_host(&rest[..slash]) && cell.len() <= LONGEST && is_clean_path(&rest[slash..])
}

/// Lower-case labels without hyphens at odd places; the last begins and ends with a letter, for a
/// number there (`1.2.3.4`, `1.0xa`) makes it an IPv4 address.
fn is_clean_host(host: &[u8]) -> bool {
    let top = memchr::memrchr(b'.', host).map_or(0, |dot| dot + 1);
    if !host.get(top).is_some_and(u8::is_ascii_lowercase) {
        return false;
    }
    let mut last = b'.';
    for byte in host {
        let follows = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'-' => last != b'.' && last != b'-',
            b'.' => last != b'.' && last != b'-',
            _ => false,
        };
        if !follows {
            return false;
        }
        last = *byte;
    }
    last.is_ascii_lowercase() && host.len() <= 253
}

/// Unreserved characters, and no dot segments to resolve.
fn is_clean_path(path: &[u8]) -> bool {
    let mut last = 0;
    for byte in path {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'-' | b'_' | b'~' | b'=' | b'&' | b'?' | b'+' | b'#' | b','
            )
            || (*byte == b'.' && last != b'/');
        if !plain {
            return false;
        }
        last = *byte;
    }
    true
}

fn read(text: &str) -> Option<(Url, f32)> {
    let repaired;
    let (address, confidence, added) = if has_scheme(text) {
        (text, 1.0, false)
    } else if let Some(rest) = slipped_scheme(text) {
        let scheme = if text.as_bytes()[4].eq_ignore_ascii_case(&b's') {
            "https"
        } else {
            "http"
        };
        repaired = format!("{scheme}://{rest}");
        (repaired.as_str(), REPAIRED, false)
    } else {
        repaired = format!("https://{}", text.strip_prefix("//").unwrap_or(text));
        (repaired.as_str(), SCHEME_ADDED, true)
    };
    let mut url = Url::parse(address).ok()?;
    if !SCHEMES.contains(&url.scheme()) || !is_place(&url, added) {
        return None;
    }
    // These fail only where there is no host, which was just seen.
    if !url.username().is_empty() || url.password().is_some() {
        // Without a scheme, what stands before an at sign is an e-mail address.
        if added {
            return None;
        }
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
    }
    Some((url, confidence))
}

fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// What follows `http//`, `https:/` and the like.
fn slipped_scheme(text: &str) -> Option<&str> {
    let start = text.get(..4)?;
    if !start.eq_ignore_ascii_case("http") {
        return None;
    }
    let rest = text[4..].strip_prefix(['s', 'S']).unwrap_or(&text[4..]);
    rest.strip_prefix("//")
        .or_else(|| rest.strip_prefix(":/"))
        .or_else(|| rest.strip_prefix(":\\\\"))
}

/// Whether the host is one that can be meant: where the scheme was a guess, the name must end in
/// a known public suffix (publicsuffix.org), or any two words with a dot would be an address.
fn is_place(url: &Url, guessed: bool) -> bool {
    match url.host() {
        None => false,
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => !guessed,
        Some(Host::Domain(domain)) => {
            let domain = domain.strip_suffix('.').unwrap_or(domain);
            let named = domain.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            });
            let known = || {
                let suffix = psl::suffix(domain.as_bytes());
                suffix.is_some_and(|suffix| {
                    suffix.is_known() && suffix.as_bytes().len() < domain.len()
                })
            };
            named && (!guessed || known())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn normalized(text: &str) -> Option<(String, f32)> {
        let mut out = String::new();
        match NormalizeUrl.clean(text, &mut out) {
            Verdict::Same => Some((text.to_owned(), 1.0)),
            Verdict::Changed(score) => Some((out, score)),
            Verdict::Invalid => None,
        }
    }

    #[test]
    fn addresses() {
        for (text, address, confidence) in [
            (
                "https://example.com/a.html?b=c#d",
                "https://example.com/a.html?b=c#d",
                1.0,
            ),
            ("https://example.com", "https://example.com/", 1.0),
            ("HTTP://Example.COM:80/A", "http://example.com/A", 1.0),
            ("http://example.com:8080/", "http://example.com:8080/", 1.0),
            ("https://example.com/a/../b", "https://example.com/b", 1.0),
            (
                "https://bücher.de/ä",
                "https://xn--bcher-kva.de/%C3%A4",
                1.0,
            ),
            (
                "https://ann:secret@example.com/",
                "https://example.com/",
                1.0,
            ),
            ("http://192.168.0.1/x", "http://192.168.0.1/x", 1.0),
            ("http://localhost:3000/", "http://localhost:3000/", 1.0),
            (
                " www.example.com ",
                "https://www.example.com/",
                SCHEME_ADDED,
            ),
            (
                "example.co.uk/a?b",
                "https://example.co.uk/a?b",
                SCHEME_ADDED,
            ),
            ("//example.com/a", "https://example.com/a", SCHEME_ADDED),
            ("http//example.com", "http://example.com/", REPAIRED),
            ("https:/example.com", "https://example.com/", REPAIRED),
        ] {
            assert_eq!(
                normalized(text),
                Some((address.to_owned(), confidence)),
                "{text}"
            );
        }
        for text in [
            "",
            "hello",
            "hello world",
            "mailto:a@example.com",
            "a@example.com",
            "1.2",
            "192.168.0.1",
            "file.unknownending",
            "javascript:alert(1)",
            "https://",
            "http:///",
            "https://exa mple.com/",
            "co.uk",
            "🙂",
            "data:text/plain,x",
            "https://a..b/",
            "://x",
            "http",
            "https",
        ] {
            assert_eq!(normalized(text), None, "{text}");
        }
    }

    proptest! {
        /// What passes for clean at a glance is what the parser would write.
        #[test]
        fn the_glance_agrees_with_the_parser(text in "https?://[a-z0-9.x-]{1,12}/[a-zA-Z0-9/._?#=&,~+-]{0,16}") {
            if is_clean(text.as_bytes()) {
                prop_assert_eq!(read(&text).map(|(url, _)| url.to_string()), Some(text));
            }
        }

        /// Any text is read or refused; what is written stays, and no password is in it.
        #[test]
        fn no_text_panics_and_clean_text_is_stable(text in "(https?:?//)?[a-zA-Z0-9.@:/ é%#?_~-]{0,30}|\\PC{0,40}") {
            if let Some((clean, _)) = normalized(&text) {
                prop_assert_eq!(normalized(&clean), Some((clean.clone(), 1.0)), "{}", text);
                let parsed = Url::parse(&clean).unwrap();
                prop_assert_eq!((parsed.username(), parsed.password()), ("", None));
            }
        }
    }
}
