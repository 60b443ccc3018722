//! The report as one self-contained page.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use sha2::{Digest, Sha256};

use super::model::Report;
use super::view::Page;

const TEMPLATE: &str = include_str!("report.html.j2");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// The report could not be rendered, because of a bug in the template.
#[derive(Debug, thiserror::Error)]
#[error("the report cannot be rendered: {source}")]
pub struct ReportError {
    /// Cause.
    #[from]
    source: minijinja::Error,
}

/// Renders the report as a self-contained HTML page without references to other files or the network. All data is
/// escaped, and the page's Content-Security-Policy (W3C CSP 3) permits no script but its own. The same report gives the
/// same bytes.
///
/// # Errors
/// When the template fails, which is a bug.
pub fn render_html(report: &Report) -> Result<String, ReportError> {
    static SCRIPT_HASH: LazyLock<String> =
        LazyLock::new(|| format!("sha256-{}", base64(&Sha256::digest(SCRIPT))));
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("report.html", TEMPLATE)?;
    let page = Page::new(report);
    let template = environment.get_template("report.html")?;
    Ok(template.render(context! {
        page,
        style => minijinja::Value::from_safe_string(STYLE.to_owned()),
        script => minijinja::Value::from_safe_string(SCRIPT.to_owned()),
        script_hash => SCRIPT_HASH.as_str(),
    })?)
}

/// Base 64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}
