//! Bounded parsing of untrusted documents: job specs, rules and contracts, in JSON or YAML.
//!
//! Bounds that can be checked on the text are checked before a parser runs, in one pass over its bytes and without
//! recursion. The size of expanded aliases is counted in a first pass over the document that builds nothing; only a
//! document within its bounds is built.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

/// Bounds of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Maximum number of bytes of a JSON document.
    pub json_bytes: usize,
    /// Maximum number of bytes of a YAML document.
    pub yaml_bytes: usize,
    /// Maximum nesting depth of objects and lists.
    pub depth: usize,
    /// Maximum number of `[` and `{` in a YAML document: the time of a YAML parser grows with the product of open
    /// brackets and tokens.
    pub yaml_brackets: usize,
    /// Maximum number of values and names, expanded aliases included.
    pub nodes: usize,
    /// Maximum number of bytes of all texts and names, expanded aliases included.
    pub text_bytes: usize,
}

impl DocumentLimits {
    /// Bounds of documents from the network or from SQL.
    pub const WIRE: Self = Self {
        json_bytes: 1 << 20,
        yaml_bytes: 64 << 10,
        depth: 64,
        yaml_brackets: 2048,
        nodes: 100_000,
        text_bytes: 1 << 20,
    };

    /// Bounds of files of the machine itself, whose owner is trusted.
    pub const LOCAL: Self = Self {
        json_bytes: 64 << 20,
        yaml_bytes: 16 << 20,
        depth: 100,
        yaml_brackets: usize::MAX,
        nodes: 10_000_000,
        text_bytes: 64 << 20,
    };

    /// Parses a JSON document.
    ///
    /// # Errors
    /// When it is malformed or exceeds a bound; the message says which.
    pub fn json(&self, text: &str) -> Result<Value, String> {
        if text.len() > self.json_bytes {
            return Err(format!(
                "a JSON document may have at most {} bytes",
                self.json_bytes
            ));
        }
        if json_depth(text.as_bytes()) > self.depth {
            return Err(self.too_deep());
        }
        // JSON repeats nothing, so its size bounds what is built; the number of values is counted all the same.
        let mut budget = Budget::of(self);
        let mut document = serde_json::Deserializer::from_str(text);
        let counted = Counted::of(&mut budget).deserialize(&mut document);
        counted.map_err(|error| error.to_string())?;
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Parses a YAML document.
    ///
    /// # Errors
    /// When it is malformed or exceeds a bound; the message says which.
    pub fn yaml(&self, text: &str) -> Result<Value, String> {
        if text.len() > self.yaml_bytes {
            return Err(format!(
                "a YAML document may have at most {} bytes; JSON at most {}",
                self.yaml_bytes, self.json_bytes
            ));
        }
        let brackets = memchr::memchr2_iter(b'[', b'{', text.as_bytes()).count();
        if brackets > self.yaml_brackets {
            return Err(format!(
                "a YAML document may have at most {} brackets; use block style or JSON",
                self.yaml_brackets
            ));
        }
        let mut budget = Budget::of(self);
        let document = serde_norway::Deserializer::from_str(text);
        let counted = Counted::of(&mut budget).deserialize(document);
        counted.map_err(|error| error.to_string())?;
        serde_norway::from_str(text).map_err(|error| error.to_string())
    }

    /// Parses a document in JSON or YAML, detecting which.
    ///
    /// # Errors
    /// When it is malformed or exceeds a bound; the message says which.
    pub fn json_or_yaml(&self, text: &str) -> Result<Value, String> {
        // JSON is YAML, but its own parser knows the line of a mistake better.
        match text.trim_start().starts_with('{') {
            true => self.json(text),
            false => self.yaml(text),
        }
    }

    fn too_deep(&self) -> String {
        format!("nested more than {} levels deep", self.depth)
    }
}

/// Returns the maximum nesting depth of a JSON text, ignoring strings. For malformed JSON it is an upper bound of the
/// depth that a parser reaches before it fails.
fn json_depth(text: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at + 1);
            }
            b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// Returns the position of the quote that closes a string whose content starts at `from`; the end of the text if there
/// is none.
fn string_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(rest) = text.get(at..)
        && let Some(found) = memchr::memchr2(b'"', b'\\', rest)
    {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        // What is escaped is passed over.
        at += 2;
    }
    text.len()
}

/// The remaining budget of a document.
struct Budget {
    nodes: usize,
    text: usize,
    limits: DocumentLimits,
}

impl Budget {
    fn of(limits: &DocumentLimits) -> Self {
        Self {
            nodes: limits.nodes,
            text: limits.text_bytes,
            limits: *limits,
        }
    }
}

/// Visits a value and subtracts it from the budget.
struct Counted<'a> {
    budget: &'a mut Budget,
    depth: usize,
}

impl<'a> Counted<'a> {
    fn of(budget: &'a mut Budget) -> Self {
        Self { budget, depth: 0 }
    }

    fn within(&mut self) -> Counted<'_> {
        Counted {
            depth: self.depth + 1,
            budget: self.budget,
        }
    }

    fn node<E: serde::de::Error>(&mut self) -> Result<(), E> {
        let limits = self.budget.limits;
        self.budget.nodes = self.budget.nodes.checked_sub(1).ok_or_else(|| {
            E::custom(format_args!(
                "more than {} values, aliases expanded",
                limits.nodes
            ))
        })?;
        Ok(())
    }

    fn text<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        let limits = self.budget.limits;
        self.node()?;
        self.budget.text = self.budget.text.checked_sub(bytes).ok_or_else(|| {
            E::custom(format_args!(
                "more than {} bytes of text, aliases expanded",
                limits.text_bytes
            ))
        })?;
        Ok(())
    }

    fn group<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.node()?;
        if self.depth >= self.budget.limits.depth {
            return Err(E::custom(self.budget.limits.too_deep()));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any valid JSON value")
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> Result<(), E> {
        self.node()
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> Result<(), E> {
        self.node()
    }

    fn visit_i128<E: serde::de::Error>(mut self, _: i128) -> Result<(), E> {
        self.node()
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> Result<(), E> {
        self.node()
    }

    fn visit_u128<E: serde::de::Error>(mut self, _: u128) -> Result<(), E> {
        self.node()
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> Result<(), E> {
        self.node()
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        self.text(text.len())
    }

    fn visit_bytes<E: serde::de::Error>(mut self, bytes: &[u8]) -> Result<(), E> {
        self.text(bytes.len())
    }

    fn visit_none<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.node()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.node()
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut values: A) -> Result<(), A::Error> {
        self.group()?;
        while values.next_element_seed(self.within())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.group()?;
        while entries.next_key_seed(self.within())?.is_some() {
            entries.next_value_seed(self.within())?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("tags are not supported"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    /// A text that is repeated by aliases counts as often as it is repeated, before it is copied.
    #[test]
    fn h1_aliases_count_as_what_they_expand_to() {
        let bomb = |text: usize, aliases: usize| {
            format!(
                "a: &a {}\nb: [{}]\n",
                "x".repeat(text),
                "*a,".repeat(aliases)
            )
        };
        let problem = DocumentLimits::WIRE
            .yaml(&bomb(200_000, 20_000))
            .unwrap_err();
        assert!(problem.contains("65536 bytes"), "{problem}");
        let begun = Instant::now();
        let problem = DocumentLimits::WIRE
            .yaml(&bomb(32_000, 10_000))
            .unwrap_err();
        assert!(
            problem.contains("bytes of text, aliases expanded"),
            "{problem}"
        );
        let problem = DocumentLimits::LOCAL
            .yaml(&bomb(200_000, 20_000))
            .unwrap_err();
        assert!(
            problem.contains("bytes of text, aliases expanded"),
            "{problem}"
        );
        // Lists of lists of aliases: none of them is long, all together are.
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let before = level - 1;
            laughs += &format!(
                "a{level}: &a{level} [{}]\n",
                format!("*a{before},").repeat(10)
            );
        }
        let problem = DocumentLimits::WIRE.yaml(&laughs).unwrap_err();
        assert!(
            problem.contains("values, aliases expanded") || problem.contains("repetition"),
            "{problem}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        // Few aliases are no harm.
        let kept = DocumentLimits::WIRE.yaml("a: &a {b: 1}\nc: *a\n").unwrap();
        assert_eq!(kept, json!({"a": {"b": 1}, "c": {"b": 1}}));
    }

    /// Whatever is nested too deeply is refused in time that grows with its length alone.
    #[test]
    fn h2_depth_is_bounded_before_parsing() {
        let begun = Instant::now();
        for (text, problem) in [
            (format!("x: {}", "[".repeat(20_000)), "brackets"),
            (format!("x: {}", "[".repeat(60_000)), "brackets"),
            (format!("x: {}", "{a: ".repeat(15_000)), "brackets"),
            // Closed in strings alone.
            (format!("x: {}", "[']', ".repeat(10_000)), "brackets"),
            (format!("{}x", "- ".repeat(30_000)), ""),
            (format!("{}x", "? ".repeat(30_000)), ""),
            (format!("{}1", "{\"a\":".repeat(100_000)), "levels"),
            (format!("{{\"a\":{}", "[".repeat(500_000)), "levels"),
            (format!("{{\"a\":[\"{}", "\\\"[".repeat(200_000)), ""),
        ] {
            let refused = DocumentLimits::WIRE.json_or_yaml(&text).unwrap_err();
            assert!(refused.contains(problem), "{}: {refused}", &text[..20]);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
    }

    /// Brackets in strings count for nothing in JSON.
    #[test]
    fn depth_of_json() {
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            ("{\"a\": [1, [2]], \"b\": {}}", 3),
            ("[\"[[[[\", \"\\\"[[[\", \"\\\\\"]", 1),
            ("]]]][[", 2),
            ("[\"[[[", 1),
            ("[\"\\", 1),
        ] {
            assert_eq!(json_depth(text.as_bytes()), depth, "{text}");
        }
    }

    /// A document within the bounds is parsed as its own parser does.
    #[test]
    fn what_is_within_bounds_stays() {
        let text = "version: 1\nname: ü\nlist: [1, -2, 3.5, true, ~, 'a: b']\ndeep: {a: {b: [{c: 1}]}}\n1: x\n";
        let document = DocumentLimits::WIRE.yaml(text).unwrap();
        assert_eq!(document, serde_norway::from_str::<Value>(text).unwrap());
        let json = document.to_string();
        assert_eq!(DocumentLimits::WIRE.json(&json).unwrap(), document);
        let many = format!("[{}1]", "1,".repeat(200_000));
        let problem = DocumentLimits::WIRE.json(&many).unwrap_err();
        assert!(problem.contains("100000 values"), "{problem}");
        assert!(DocumentLimits::WIRE.yaml("a: !tag b").is_err());
    }
}
