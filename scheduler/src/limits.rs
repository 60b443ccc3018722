//! The limits of the API for what strangers send, in one place.

use std::time::Duration;

use planner::spec::{ByteSize, DocumentLimits};

/// Most bytes that a connection of HTTP/1 holds of what was received: a request line with all headers fits.
pub(crate) const HTTP1_BUFFER: usize = 128 << 10;

/// Most headers of a request.
pub(crate) const HEADERS: usize = 64;

/// Most bytes of the headers of a request over HTTP/2.
pub(crate) const HTTP2_HEADER_BYTES: u32 = 32 << 10;

/// Most requests of a connection of HTTP/2 at the same time.
pub(crate) const HTTP2_STREAMS: u32 = 64;

/// Bytes of a body that a connection of HTTP/2 receives ahead of its reader, for a request and in all.
pub(crate) const HTTP2_WINDOWS: (u32, u32) = (256 << 10, 1 << 20);

/// Most bytes of a field of a form that is no file.
pub(crate) const FIELD_BYTES: usize = 1 << 20;

/// Most bytes of a form that were received and belong to no content of a field: boundaries and headers.
pub(crate) const FORM_OVERHEAD: u64 = 256 << 10;

/// Most rules that a request names.
pub(crate) const RULES: usize = 64;

/// Most uploads that a job reads.
pub(crate) const UPLOADS_OF_JOB: usize = 1000;

/// Documents of a tenant that are parsed at the same time.
pub(crate) const PARSED_AT_ONCE: usize = 2;

/// Outputs that a tenant downloads in another format at the same time: each has a thread.
pub(crate) const CONVERTED_AT_ONCE: usize = 8;

/// Bytes of a JSON document that are parsed without a thread of their own.
pub(crate) const PARSED_AT_SIGHT: usize = 16 << 10;

/// Time over which the rate of a body is judged, counting only the time that its sender is waited for.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Limits of the API that an operator sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most connections at the same time.
    pub connections: usize,
    /// Most connections of one address at the same time.
    pub connections_per_address: usize,
    /// Most bodies of one tenant that are received at the same time. Each of its keys has half as many.
    pub bodies_per_tenant: usize,
    /// Least bytes a second of a body, averaged over ten seconds in which the sender is waited for.
    pub least_rate: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 1024,
            bodies_per_tenant: 64,
            least_rate: 1024,
        }
    }
}

/// The table of the limits, in Markdown, for the documentation.
pub fn table() -> String {
    let usual = RequestLimits::default();
    let wire = DocumentLimits::WIRE;
    let size = |bytes: usize| ByteSize(bytes as u64).to_string();
    let rows: [(&str, String, &str); 22] = [
        ("JSON document", size(wire.json_bytes), "413"),
        (
            "YAML document (`spec` of a form, a spec in SQL)",
            size(wire.yaml_bytes),
            "422",
        ),
        (
            "objects and lists within each other",
            wire.depth.to_string(),
            "400, 422",
        ),
        (
            "`[` and `{` of a YAML document",
            wire.yaml_brackets.to_string(),
            "422",
        ),
        (
            "values and names of a document, YAML aliases expanded",
            wire.nodes.to_string(),
            "400, 422",
        ),
        (
            "text of a document, YAML aliases expanded",
            size(wire.text_bytes),
            "400, 422",
        ),
        ("field of a form that is no file", size(FIELD_BYTES), "413"),
        (
            "boundaries and headers of a form",
            size(FORM_OVERHEAD as usize),
            "413",
        ),
        ("rules that a request names", RULES.to_string(), "422"),
        (
            "uploads that a job reads",
            UPLOADS_OF_JOB.to_string(),
            "422",
        ),
        (
            "request line and headers, HTTP/1",
            size(HTTP1_BUFFER),
            "431",
        ),
        ("headers of a request, HTTP/1", HEADERS.to_string(), "431"),
        (
            "headers of a request, HTTP/2",
            size(HTTP2_HEADER_BYTES as usize),
            "431",
        ),
        (
            "requests of an HTTP/2 connection at the same time",
            HTTP2_STREAMS.to_string(),
            "the stream is refused",
        ),
        (
            "connections (`max_connections`)",
            usual.connections.to_string(),
            "the connection is closed",
        ),
        (
            "connections of one address, of one /64 with IPv6 (`max_connections_per_address`)",
            usual.connections_per_address.to_string(),
            "the connection is closed",
        ),
        (
            "bodies of one tenant that are received at the same time (`max_bodies`); each key has half as many",
            usual.bodies_per_tenant.to_string(),
            "429 after 5 s",
        ),
        (
            "least rate of a body over 10 s (`min_body_rate`)",
            format!("{} a second", size(usual.least_rate as usize)),
            "408",
        ),
        (
            "documents of a tenant that are parsed at the same time",
            PARSED_AT_ONCE.to_string(),
            "429 after 5 s",
        ),
        (
            "downloads of a tenant in another format at the same time",
            CONVERTED_AT_ONCE.to_string(),
            "429 after 5 s",
        ),
        (
            "regular expression of a rule, its text",
            size(planner::spec::PATTERN_BYTES),
            "the job fails",
        ),
        (
            "SQL condition of a rule",
            size(planner::spec::CONDITION_BYTES),
            "the job fails",
        ),
    ];
    let mut text = "| what | limit | beyond it |\n|---|---|---|\n".to_owned();
    for (what, limit, answer) in rows {
        text += &format!("| {what} | {limit} | {answer} |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documentation holds the table as the code says it.
    #[test]
    fn documentation_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/limits.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- limits -->\n", "<!-- end -->\n");
        let (before, rest) = page.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        let wanted = format!("{before}{begin}{}{end}{after}", table());
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert!(
            page == wanted || std::env::var_os("UPDATE_REFERENCE").is_some(),
            "docs/reference/limits.md is out of date; run with UPDATE_REFERENCE=1"
        );
    }
}
