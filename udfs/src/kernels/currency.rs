//! Amounts of money and names of currencies, with codes of ISO 4217.
//!
//! A cell with an amount becomes `USD 1234.50`; one without becomes the code alone. Signs that
//! several currencies share are read as the one that most often bears them, with less confidence.

use hashbrown::HashMap;

use super::cell::{CellKernel, Verdict};
use super::number_notation::{NumberFormat, is_minus, rewrite};

pub use iso_currency::Currency;

/// Longer cells are skipped.
const LONGEST: usize = 120;

/// Confidence in a currency whose sign or name is shared with others (`$`, `¥`, `rupees`).
const SHARED: f32 = 0.9;

/// Writes amounts as `<code> <number>` and names of currencies as their code.
#[derive(Debug, Clone)]
pub struct NormalizeCurrency {
    /// What an amount without any mark is in; without it, such a cell cannot be read.
    unmarked: Option<Currency>,
    format: NumberFormat,
    /// Currency and confidence of every name and sign, in lower case.
    names: HashMap<String, (Currency, f32), foldhash::fast::RandomState>,
}

impl Default for NormalizeCurrency {
    fn default() -> Self {
        Self::new(Currency::USD)
    }
}

impl NormalizeCurrency {
    /// Creates a kernel that reads a bare `$` as `default_dollar`; amounts must have a currency.
    pub fn new(default_dollar: Currency) -> Self {
        let mut names: HashMap<String, (Currency, f32), _> = HashMap::default();
        for currency in (0..1000).filter_map(Currency::from_numeric) {
            let name = currency.name().to_lowercase();
            names.insert(format!("{name}s"), (currency, 1.0));
            names.insert(name, (currency, 1.0));
        }
        for (code, aliases, confidence) in ALIASES {
            if let Some(currency) = Currency::from_code(code) {
                for alias in aliases.split('|') {
                    names.insert(alias.to_owned(), (currency, confidence));
                }
            }
        }
        for alias in ["$", "＄", "﹩", "dollar", "dollars", "buck", "bucks"] {
            names.insert(alias.to_owned(), (default_dollar, SHARED));
        }
        Self {
            unmarked: None,
            format: NumberFormat::default(),
            names,
        }
    }

    /// Takes amounts without any mark for amounts of `currency`.
    #[must_use]
    pub fn with_unmarked(mut self, currency: Currency) -> Self {
        self.unmarked = Some(currency);
        self
    }

    /// Reads the separators of amounts in `format`.
    #[must_use]
    pub fn with_format(mut self, format: NumberFormat) -> Self {
        self.format = format;
        self
    }

    /// The currency of a code, name or sign, and the confidence in it.
    fn currency(&self, text: &str) -> Option<(Currency, f32)> {
        if text.len() == 3 && text.is_ascii() {
            let mut code = [0; 3];
            code.copy_from_slice(text.as_bytes());
            code.make_ascii_uppercase();
            if let Some(currency) = std::str::from_utf8(&code)
                .ok()
                .and_then(Currency::from_code)
            {
                return Some((currency, 1.0));
            }
        }
        let mut name = text.to_lowercase();
        if let Some(found) = self.names.get(&name) {
            return Some(*found);
        }
        // `U.S. dollars`, `Rs.`, `Fr.`
        name.retain(|c| c != '.');
        self.names.get(&name).copied()
    }

    /// The currency that the marks on both sides of an amount name together.
    fn of_marks(&self, before: &str, after: &str) -> Option<(Currency, f32)> {
        match (before, after) {
            ("", "") => self.unmarked.map(|currency| (currency, SHARED)),
            (mark, "") | ("", mark) => self.currency(mark),
            (before, after) => {
                let (first, second) = (self.currency(before)?, self.currency(after)?);
                // `$5 CAD`: the sign leaves open what the code tells.
                let shares = |bare: (Currency, f32)| bare.1 < 1.0;
                match (shares(first), shares(second)) {
                    (true, false) => Some(second),
                    (false, true) => Some(first),
                    _ => (first.0 == second.0).then_some(first),
                }
            }
        }
    }

    fn read(&self, cell: &str, out: &mut String) -> Option<f32> {
        let text = cell.trim();
        let Some(start) = text.find(|c: char| c.is_ascii_digit()) else {
            let (currency, confidence) = self.currency(text)?;
            out.push_str(currency.code());
            return Some(confidence);
        };
        let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
        // `.50`, but not the dot of `Rs.50`.
        let pointed =
            text[..start].ends_with('.') && !text[..start - 1].ends_with(char::is_alphabetic);
        let start = if pointed { start - 1 } else { start };
        let (before, after) = (Mark::read(&text[..start])?, Mark::read(&text[end..])?);
        let brackets = before.opened && after.closed;
        if before.opened != after.closed || after.opened || before.closed {
            return None;
        }
        if u8::from(before.minus) + u8::from(after.minus) + u8::from(brackets) > 1 {
            return None;
        }
        let (currency, confidence) = self.of_marks(&before.name, &after.name)?;
        let format = NumberFormat {
            decimal: self.format.decimal.or(after.decimal),
            ..self.format
        };
        let amount = rewrite(&text[start..end], &format)?;
        out.push_str(currency.code());
        out.push(' ');
        if before.minus || after.minus || brackets {
            out.push('-');
        }
        out.push_str(amount.as_str());
        Some(confidence)
    }
}

impl CellKernel for NormalizeCurrency {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        if cell.len() > LONGEST {
            return Verdict::Invalid;
        }
        match self.read(cell, out) {
            None => Verdict::Invalid,
            Some(_) if out == cell => Verdict::Same,
            Some(confidence) => Verdict::Changed(confidence),
        }
    }
}

/// What precedes or follows an amount: the name of a currency, and signs of a negative number.
#[derive(Debug, Default)]
struct Mark {
    name: String,
    minus: bool,
    opened: bool,
    closed: bool,
    /// The decimal separator, if a dash for no cents follows it.
    decimal: Option<u8>,
}

impl Mark {
    fn read(text: &str) -> Option<Self> {
        let mut mark = Self::default();
        for c in text.chars() {
            let seen = match c {
                '(' => &mut mark.opened,
                ')' => &mut mark.closed,
                '+' => continue,
                c if is_minus(c) => {
                    // `1.200,-`: in a price without cents the dash follows the decimal point.
                    if let b"," | b"." = mark.name.as_bytes() {
                        mark.decimal = mark.name.bytes().next();
                        mark.name.clear();
                        continue;
                    }
                    &mut mark.minus
                }
                c => {
                    mark.name.push(c);
                    continue;
                }
            };
            if std::mem::replace(seen, true) {
                return None;
            }
        }
        let trimmed = mark.name.trim().len();
        if trimmed != mark.name.len() {
            mark.name = mark.name.trim().to_owned();
        }
        Some(mark)
    }
}

/// Signs and everyday names in lower case; those with less than full confidence are shared.
const ALIASES: [(&str, &str, f32); 46] = [
    ("AED", "dhs|dirham|dirhams", SHARED),
    ("ARS", "ar$|argentine pesos", 1.0),
    ("AUD", "a$|au$|aud$|aussie dollar|aussie dollars", 1.0),
    ("AZN", "₼", 1.0),
    ("BDT", "৳|taka", 1.0),
    ("BRL", "r$|br$|real|reais|brazilian reais", 1.0),
    ("CAD", "c$|ca$|can$|cad$", 1.0),
    ("CHF", "sfr|fr|swiss francs|franken", 1.0),
    ("CNY", "yuan|renminbi|rmb|cn¥|元|人民币", 1.0),
    ("CRC", "₡", 1.0),
    ("CZK", "kč|kc|czech crown|czech crowns|koruna", 1.0),
    ("EUR", "€|euro|euros", 1.0),
    (
        "GBP",
        "gb£|uk£|pound sterling|pounds sterling|sterling|british pound|british pounds|quid",
        1.0,
    ),
    ("GBP", "£|￡|pound|pounds", SHARED),
    ("GEL", "₾|lari", 1.0),
    ("GHS", "₵|gh₵|cedi|cedis", 1.0),
    ("HKD", "hk$", 1.0),
    ("HUF", "ft|forint|forints", 1.0),
    ("IDR", "rp|rupiah", 1.0),
    ("ILS", "₪|nis|shekel|shekels", 1.0),
    ("INR", "₹|indian rupees", 1.0),
    ("INR", "rs|rupee|rupees|₨", SHARED),
    ("JPY", "jp¥|yen|円", 1.0),
    ("JPY", "¥|￥", SHARED),
    ("KRW", "₩|￦|won|원", SHARED),
    ("KZT", "₸|tenge", 1.0),
    ("MNT", "₮|tugrik", 1.0),
    ("MXN", "mx$|mex$|mexican pesos", 1.0),
    ("MYR", "rm|ringgit", 1.0),
    ("NGN", "₦|naira", 1.0),
    ("NZD", "nz$", 1.0),
    ("PEN", "s/|soles", 1.0),
    ("PHP", "₱|php$|philippine pesos", 1.0),
    ("PLN", "zł|zl|zloty|zlotys|złoty", 1.0),
    ("PYG", "₲|guarani", 1.0),
    ("RON", "lei|leu", SHARED),
    ("RUB", "₽|руб|rub|rouble|roubles|ruble|rubles", 1.0),
    ("SGD", "s$|sg$", 1.0),
    ("THB", "฿|baht", 1.0),
    ("TRY", "₺|tl|lira|liras", SHARED),
    ("TWD", "nt$|ntd", 1.0),
    ("UAH", "₴|hryvnia|грн", 1.0),
    (
        "USD",
        "us$|u$s|us dollar|us dollars|american dollar|american dollars",
        1.0,
    ),
    ("VND", "₫|đ|dong", 1.0),
    ("ZAR", "rand|rands", 1.0),
    ("XCD", "ec$", 1.0),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn normalized(kernel: &NormalizeCurrency, text: &str) -> Option<(String, f32)> {
        let mut out = String::new();
        match kernel.clean(text, &mut out) {
            Verdict::Same => Some((text.to_owned(), 1.0)),
            Verdict::Changed(score) => Some((out, score)),
            Verdict::Invalid => None,
        }
    }

    #[test]
    fn amounts_and_names() {
        let kernel = NormalizeCurrency::default();
        for (text, written, confidence) in [
            ("USD 1234.50", "USD 1234.50", 1.0),
            ("US$1,234.50", "USD 1234.50", 1.0),
            ("$1,234.50", "USD 1234.50", SHARED),
            ("-$5", "USD -5", SHARED),
            ("$ -5", "USD -5", SHARED),
            ("($5.00)", "USD -5.00", SHARED),
            ("$5 CAD", "CAD 5", 1.0),
            ("1.234,50 €", "EUR 1234.50", 1.0),
            ("12 euros", "EUR 12", 1.0),
            ("eur12", "EUR 12", 1.0),
            ("1.200,- zł", "PLN 1200", 1.0),
            ("Rs.500", "INR 500", SHARED),
            ("$.50", "USD 0.50", SHARED),
            ("¥1000", "JPY 1000", SHARED),
            ("5 U.S. dollars", "USD 5", 1.0),
            ("US$", "USD", 1.0),
            ("€", "EUR", 1.0),
            ("euro", "EUR", 1.0),
            ("usd", "USD", 1.0),
            ("GBP", "GBP", 1.0),
            ("Swiss Franc", "CHF", 1.0),
            ("dollars", "USD", SHARED),
        ] {
            assert_eq!(
                normalized(&kernel, text),
                Some((written.to_owned(), confidence)),
                "{text}"
            );
        }
        for text in [
            "",
            "12",
            "1,2,3 USD",
            "5 apples",
            "kr 5",
            "$5 €5",
            "$5 EUR 3",
            "€5 USD",
            "--$5",
            "-($5)",
            "($5",
            "XYZ",
            "🙂",
            "$",
            "$5)",
        ] {
            let expected = (text == "$").then(|| ("USD".to_owned(), SHARED));
            assert_eq!(normalized(&kernel, text), expected, "{text}");
        }
    }

    #[test]
    fn defaults_are_the_callers() {
        let kernel = NormalizeCurrency::new(Currency::AUD).with_unmarked(Currency::EUR);
        assert_eq!(
            normalized(&kernel, "$5"),
            Some(("AUD 5".to_owned(), SHARED))
        );
        assert_eq!(normalized(&kernel, "5"), Some(("EUR 5".to_owned(), SHARED)));
    }

    proptest! {
        /// Any text is read or refused, and what is written stays as it is.
        #[test]
        fn no_text_panics_and_clean_text_is_stable(text in "[$€£(A-Z+ -]{0,5}[0-9.,]{0,9}[a-z€$) -]{0,5}|\\PC{0,40}") {
            let kernel = NormalizeCurrency::default();
            if let Some((clean, _)) = normalized(&kernel, &text) {
                prop_assert_eq!(normalized(&kernel, &clean), Some((clean.clone(), 1.0)), "{}", text);
            }
        }
    }
}
