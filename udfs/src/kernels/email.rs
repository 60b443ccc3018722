//! Normalises e-mail addresses.
//!
//! An address is valid if RFC 5321 permits it: a dot-atom (or a quoted string) before the at sign, and a domain of at
//! least two labels after it. Domains of other scripts are converted to ASCII by UTS 46, as browsers do; the local part
//! may have any letters (RFC 6531).

use std::borrow::Cow;

use email_address::EmailAddress;
use url::Host;

use super::cell::{CellKernel, Verdict};

/// Lengths of RFC 5321, section 4.5.3.1, and RFC 1035.
const LONGEST_ADDRESS: usize = 254;
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Longer cells are skipped: an address with a display name is shorter.
const LONGEST_CELL: usize = 1024;

/// Confidence in a repaired slip of the keyboard (`a@b,com`, `a@b..com`, `a @ b.com`).
const REPAIRED: f32 = 0.8;
/// Confidence in an address disguised from robots (`a at b dot com`).
const UNDISGUISED: f32 = 0.7;

/// Writes e-mail addresses bare and in lower case, with an ASCII domain.
#[derive(Debug, Clone, Copy)]
pub struct NormalizeEmail {
    /// Also converts the local part to lower case, which its mail server may in theory distinguish.
    pub lowercase_local: bool,
}

impl Default for NormalizeEmail {
    fn default() -> Self {
        Self {
            lowercase_local: true,
        }
    }
}

impl CellKernel for NormalizeEmail {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        if is_clean(cell.as_bytes()) {
            return Verdict::Same;
        }
        if cell.len() > LONGEST_CELL {
            return Verdict::Invalid;
        }
        let bare = unwrap(cell);
        let read = self.write(bare, out).map(|()| 1.0).or_else(|| {
            let (repaired, confidence) = repair(bare)?;
            out.clear();
            self.write(&repaired, out).map(|()| confidence)
        });
        match read {
            None => Verdict::Invalid,
            Some(_) if out == cell => Verdict::Same,
            Some(confidence) => Verdict::Changed(confidence),
        }
    }
}

impl NormalizeEmail {
    /// Writes the normal notation of `address`; `None` if it is none.
    fn write(&self, address: &str, out: &mut String) -> Option<()> {
        let (local, domain) = address.rsplit_once('@')?;
        let domain = ascii_domain(domain)?;
        if local.starts_with('"') {
            // A quoted string may hold nearly anything, and its case is its own.
            if !EmailAddress::is_valid_local_part(local) {
                return None;
            }
            out.push_str(local);
        } else if !is_dot_atom(local) {
            return None;
        } else if !self.lowercase_local {
            out.push_str(local);
        } else {
            out.extend(local.chars().flat_map(char::to_lowercase));
        }
        if out.len() > LONGEST_LOCAL {
            return None;
        }
        out.push('@');
        out.push_str(&domain);
        (out.len() <= LONGEST_ADDRESS).then_some(())
    }
}

/// Whether this is an address in its normal notation: lower-case ASCII of the common kind.
fn is_clean(cell: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', cell) else {
        return false;
    };
    let (local, domain) = (&cell[..at], &cell[at + 1..]);
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut last = b'.';
    for byte in local {
        let dot = *byte == b'.';
        if (dot && last == b'.') || !(dot || plain(byte) || matches!(byte, b'_' | b'-' | b'+')) {
            return false;
        }
        last = *byte;
    }
    if last == b'.' || local.len() > LONGEST_LOCAL || domain.len() > LONGEST_DOMAIN {
        return false;
    }
    let mut labels = 0;
    let mut top: &[u8] = &[];
    for label in domain.split(|byte| *byte == b'.') {
        // Names encoded by Punycode are left to the full check.
        if !is_label(label, plain) || label.starts_with(b"xn--") {
            return false;
        }
        labels += 1;
        top = label;
    }
    labels >= 2 && top.len() >= 2 && top.iter().all(u8::is_ascii_lowercase)
}

fn is_label(label: &[u8], plain: impl Fn(&u8) -> bool) -> bool {
    let (Some(first), Some(last)) = (label.first(), label.last()) else {
        return false;
    };
    *first != b'-'
        && *last != b'-'
        && label.len() <= LONGEST_LABEL
        && label.iter().all(|byte| plain(byte) || *byte == b'-')
}

/// The address within white space, `mailto:`, a display name and angle brackets.
fn unwrap(cell: &str) -> &str {
    let mut bare = cell.trim();
    if let Some(inner) = bare.strip_suffix('>')
        && let Some(open) = inner.rfind('<')
    {
        bare = inner[open + 1..].trim();
    }
    const SCHEME: &str = "mailto:";
    if bare
        .get(..SCHEME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
    {
        bare = bare[SCHEME.len()..].trim_start();
        bare = bare.split('?').next().unwrap_or(bare);
    }
    bare
}

/// A domain in lower-case ASCII, of two labels or more, the last of which is no number.
fn ascii_domain(domain: &str) -> Option<String> {
    // The root's dot names the same host.
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let domain = match Host::parse(domain).ok()? {
        Host::Domain(domain) => domain,
        Host::Ipv4(_) | Host::Ipv6(_) => return None,
    };
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = domain.len() <= LONGEST_DOMAIN
        && domain
            .split('.')
            .all(|label| is_label(label.as_bytes(), plain));
    let (_, top) = domain.rsplit_once('.')?;
    let named = top.len() >= 2 && top.bytes().any(|byte| byte.is_ascii_lowercase());
    (fits && named).then_some(domain)
}

/// Returns whether dots only separate atoms (RFC 5322, section 3.2.3, with RFC 6531's letters).
fn is_dot_atom(local: &str) -> bool {
    let atom = |c: char| c.is_alphanumeric() || (c.is_ascii() && "!#$%&'*+/=?^_`{|}~-".contains(c));
    local
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(atom))
}

/// What was meant by an address that is none: disguises undone, slips repaired.
fn repair(bare: &str) -> Option<(Cow<'_, str>, f32)> {
    let mut address = Cow::Borrowed(bare);
    let mut confidence = REPAIRED;
    if !bare.contains('@') {
        address = Cow::Owned(undisguise(bare)?);
        confidence = UNDISGUISED;
    }
    let (local, domain) = address.trim_end_matches(['.', ',', ';']).rsplit_once('@')?;
    let local = local.trim_end();
    // One blank next to a mark is a slip; between words it is prose.
    let mut repaired = String::with_capacity(address.len());
    repaired.push_str(local);
    repaired.push('@');
    let mut last = '.';
    for c in domain.trim_start().chars() {
        let c = if c == ',' { '.' } else { c };
        let idle = (c == '.' && last == '.') || (c == ' ' && matches!(last, '.' | ' '));
        if c == '.' && last == ' ' {
            repaired.pop();
        }
        if !idle {
            repaired.push(c);
            last = c;
        }
    }
    Some((Cow::Owned(repaired), confidence))
}

/// `john (at) example [dot] com` with its signs.
fn undisguise(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let mut address = lower;
    for (words, sign) in [
        ([" at ", "(at)", "[at]", "{at}"], "@"),
        ([" dot ", "(dot)", "[dot]", "{dot}"], "."),
    ] {
        for word in words {
            address = address.replace(word, sign);
        }
    }
    if address.matches('@').count() != 1 {
        return None;
    }
    // Blanks are left around bracketed words only; others make it prose, which the check refuses.
    let parts = address.split(['@', '.']);
    if parts
        .clone()
        .any(|part| part.trim().contains(char::is_whitespace))
    {
        return None;
    }
    address.retain(|c| !c.is_whitespace());
    Some(address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn normalized(text: &str) -> Option<(String, f32)> {
        let mut out = String::new();
        match NormalizeEmail::default().clean(text, &mut out) {
            Verdict::Same => Some((text.to_owned(), 1.0)),
            Verdict::Changed(score) => Some((out, score)),
            Verdict::Invalid => None,
        }
    }

    #[test]
    fn addresses() {
        for (text, address, confidence) in [
            ("ann@example.com", "ann@example.com", 1.0),
            (" Ann.B+x@Example.COM ", "ann.b+x@example.com", 1.0),
            ("mailto:ann@example.com?subject=Hi", "ann@example.com", 1.0),
            ("Ann Example <Ann@Example.com>", "ann@example.com", 1.0),
            ("<mailto:ann@example.com>", "ann@example.com", 1.0),
            ("ann@bücher.de", "ann@xn--bcher-kva.de", 1.0),
            ("ann@example.com.", "ann@example.com", 1.0),
            ("o'neil@example.co.uk", "o'neil@example.co.uk", 1.0),
            ("\"Ann B\"@example.com", "\"Ann B\"@example.com", 1.0),
            ("日本@example.jp", "日本@example.jp", 1.0),
            ("ann@example,com", "ann@example.com", REPAIRED),
            ("ann@example..com", "ann@example.com", REPAIRED),
            ("ann @ example . com", "ann@example.com", REPAIRED),
            ("ann@example.com,", "ann@example.com", REPAIRED),
            ("ann at example dot com", "ann@example.com", UNDISGUISED),
            ("ann (at) example [dot] com", "ann@example.com", UNDISGUISED),
        ] {
            assert_eq!(
                normalized(text),
                Some((address.to_owned(), confidence)),
                "{text}"
            );
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            "ann@example",
            "ann@@example.com",
            "ann..b@example.com",
            ".ann@example.com",
            "ann@127.0.0.1",
            "ann@-x.com",
            "a b@example.com",
            "meet at noon dot com is fun",
            "ann@example.123",
            "ann@exa mple.com",
            "a@b.c",
            "🙂@🙂",
            &long,
            "a@example.com;b@example.com",
        ] {
            assert_eq!(normalized(text), None, "{text}");
        }
    }

    #[test]
    fn the_local_part_keeps_its_case_on_request() {
        let mut out = String::new();
        let keep = NormalizeEmail {
            lowercase_local: false,
        };
        assert_eq!(
            keep.clean("Ann@Example.com", &mut out),
            Verdict::Changed(1.0)
        );
        assert_eq!(out, "Ann@example.com");
    }

    proptest! {
        /// What passes for clean at a glance is what the full check would write.
        #[test]
        fn the_glance_agrees_with_the_check(text in "[a-z0-9._+-]{1,8}@[a-z0-9.-]{1,10}[.][a-z0-9]{1,4}") {
            if is_clean(text.as_bytes()) {
                let mut out = String::new();
                prop_assert!(NormalizeEmail::default().write(&text, &mut out).is_some());
                prop_assert_eq!(out, text);
            }
        }

        /// Any text is read or refused, and what is written stays as it is.
        #[test]
        fn no_text_panics_and_clean_text_is_stable(text in "[a-zA-Z0-9.@ ,<>\"é+-]{0,24}@[a-zA-Z0-9. ,é-]{0,12}|\\PC{0,40}") {
            if let Some((clean, _)) = normalized(&text) {
                prop_assert_eq!(normalized(&clean), Some((clean.clone(), 1.0)), "{}", text);
            }
        }
    }
}
