//! Lengths of time as people write them: 90s, 30m, 12h, 90d.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub Duration);

/// Units and their seconds, longest first.
const UNITS: [(char, u64); 4] = [('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60), ('s', 1)];

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no length of time; expected one such as 30m, 12h or 90d");
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let (_, seconds) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let digits = &text[..text.len() - unit.len_utf8()];
        let count: u32 = digits.parse().map_err(|_| wrong())?;
        if count == 0 {
            return Err(wrong());
        }
        Ok(Self(Duration::from_secs(u64::from(count) * seconds)))
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.0.as_secs();
        let whole = UNITS
            .into_iter()
            .find(|(_, seconds)| all.is_multiple_of(*seconds));
        let (unit, seconds) = whole.unwrap_or(('s', 1));
        write!(formatter, "{}{unit}", all / seconds)
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number with a unit, and back; nothing else.
    #[test]
    fn periods_are_read_and_written() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("12h", 43_200),
            ("7d", 604_800),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.0.as_secs(), seconds);
            assert_eq!(period.to_string(), text);
        }
        for wrong in ["", "5", "m", "0s", "-1m", "1.5h", "1 h", "5é"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }
}
