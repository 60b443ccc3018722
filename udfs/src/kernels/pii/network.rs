//! Addresses of the internet: mail, web, machines.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::pattern::Part;

/// An e-mail address whose domain ends in a public suffix (RFC 5321 lengths).
pub(super) fn email(text: &str, start: usize, end: usize) -> Option<Part> {
    let address = text.get(start..end)?;
    let (local, domain) = address.rsplit_once('@')?;
    let is_dotted_well = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    if !is_dotted_well || local.is_empty() || local.len() > 64 || domain.len() > 253 {
        return None;
    }
    let labels_fit = domain.split('.').all(|label| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    });
    labels_fit.then_some(Part {
        start,
        end,
        // The reserved and the private ones (example, test, local) are addresses all the same.
        score: if has_public_suffix(domain) { 1.0 } else { 0.6 },
    })
}

fn has_public_suffix(domain: &str) -> bool {
    let lower = domain.to_ascii_lowercase();
    psl::suffix(lower.as_bytes()).is_some_and(|suffix| suffix.is_known())
        && psl::domain(lower.as_bytes()).is_some()
}

/// A web address with a scheme or `www`, or a bare domain.
pub(super) fn url(text: &str, start: usize, end: usize) -> Option<Part> {
    let mut url = text.get(start..end)?;
    // Punctuation at the end belongs to the sentence.
    url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '\'', '"', '>']);
    let end = start + url.len();
    let (host, score) = match url.split_once("://") {
        Some((_, rest)) => (rest, 0.95),
        None if url
            .get(..4)
            .is_some_and(|www| www.eq_ignore_ascii_case("www.")) =>
        {
            (url, 0.9)
        }
        None => (url, 0.5),
    };
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let bare = score == 0.5;
    // "user@host.org" is an e-mail address; "a.b.c(" is code.
    let glued = text[..start].ends_with(['@', '.', '-', '_', '/'])
        || text[end..].starts_with(['@', '_', '('])
        || text[..start]
            .chars()
            .next_back()
            .is_some_and(char::is_alphanumeric);
    if bare && (glued || !is_plain_domain(host)) {
        return None;
    }
    let known = has_public_suffix(host) || (!bare && host.parse::<Ipv4Addr>().is_ok());
    known.then_some(Part { start, end, score })
}

/// Whether a domain without a scheme is one: "readme.md", "e.g" and "Hello.It" are not.
fn is_plain_domain(host: &str) -> bool {
    /// Country codes that are the endings of files, and words.
    const NOT_BARE: [&str; 22] = [
        "md", "py", "rs", "sh", "pl", "ps", "cc", "so", "ai", "in", "is", "it", "me", "my", "no",
        "so", "to", "at", "be", "as", "am", "do",
    ];
    let Some((rest, last)) = host.rsplit_once('.') else {
        return false;
    };
    let mixed_case = host.bytes().any(|b| b.is_ascii_uppercase())
        && host.bytes().any(|b| b.is_ascii_lowercase());
    rest.len() >= 2 && !mixed_case && !NOT_BARE.contains(&last.to_ascii_lowercase().as_str())
}

/// An IPv4 address, perhaps with the length of a prefix.
pub(super) fn ipv4(text: &str, start: usize, end: usize) -> Option<Part> {
    let (address, prefix) = split_prefix(text.get(start..end)?, 32)?;
    let address: Ipv4Addr = address.parse().ok()?;
    // A fifth number makes it a version or an object identifier.
    let glued = text[..start].ends_with(['.', '-', '_'])
        || text.as_bytes().get(end) == Some(&b'.')
            && text.as_bytes().get(end + 1).is_some_and(u8::is_ascii_digit);
    let is_small = address.octets()[0] < 10 && address.octets().iter().all(|octet| *octet < 20);
    (!glued && !address.is_unspecified()).then_some(Part {
        start,
        end,
        // "1.2.3.4" is a version more often than an address.
        score: if is_small && !prefix { 0.5 } else { 0.8 },
    })
}

/// An IPv6 address, perhaps with a zone or the length of a prefix.
pub(super) fn ipv6(text: &str, start: usize, end: usize) -> Option<Part> {
    // A colon that ends the address is the sentence's.
    let mut part = text.get(start..end)?;
    let mut end = end;
    if part.ends_with(':') && !part.ends_with("::") {
        part = &part[..part.len() - 1];
        end -= 1;
    }
    let (address, _) = split_prefix(part, 128)?;
    let bare = address.split('%').next()?;
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == ':' || c == '_');
    // "::ffff:192.168.1" stops in the middle of its numbers.
    let torn = text[end..].starts_with('.')
        && text.as_bytes().get(end + 1).is_some_and(u8::is_ascii_digit);
    let parsed: Ipv6Addr = bare.parse().ok()?;
    (bare.len() > 2 && !torn && !parsed.is_unspecified() && !is_part(before) && !is_part(after))
        .then_some(Part {
            start,
            end,
            score: 0.8,
        })
}

/// Splits "address/length"; `None` when the length is too large.
fn split_prefix(text: &str, most: u8) -> Option<(&str, bool)> {
    match text.split_once('/') {
        None => Some((text, false)),
        Some((address, length)) => (length.parse::<u8>().ok()? <= most).then_some((address, true)),
    }
}

/// A hardware address of one separator throughout, neither all zeros nor broadcast.
pub(super) fn mac(text: &str, start: usize, end: usize) -> Option<Part> {
    let address = text.get(start..end)?;
    let separators = address.bytes().filter(|byte| !byte.is_ascii_hexdigit());
    let one_kind = separators.clone().min() == separators.max();
    let digits = || address.bytes().filter(u8::is_ascii_hexdigit);
    let empty =
        digits().all(|byte| byte == b'0') || digits().all(|byte| byte.eq_ignore_ascii_case(&b'f'));
    let is_part = |byte: u8| byte == b':' || byte == b'-';
    let glued = text[..start].bytes().next_back().is_some_and(is_part)
        || text[end..].bytes().next().is_some_and(|byte| {
            is_part(byte) && text[end + 1..].starts_with(|c: char| c.is_ascii_hexdigit())
        });
    (one_kind && !empty && !glued).then_some(Part {
        start,
        end,
        score: 0.9,
    })
}
