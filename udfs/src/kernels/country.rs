//! Countries, by code or name, to ISO 3166-1.
//!
//! Names are compared without case, accents and punctuation; beyond the standard's own names the
//! list below holds the everyday ones, and those that the countries call themselves.

use std::sync::LazyLock;

use hashbrown::{HashMap, HashSet};
use rapidfuzz::distance::osa;
use rust_iso3166::{ALL, CountryCode};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::cell::{CellKernel, Verdict};

/// Longer cells are skipped: the longest name of the standard has 60 bytes.
const LONGEST: usize = 120;
/// Least similarity of a misspelt name, and its least length: at five letters one may be wrong.
const LEAST_SIMILARITY: f64 = 0.8;
const SHORTEST_MISSPELT: usize = 5;
/// Confidence in a part of a country for the whole (`England`), and in a number without its zeros.
const LOOSE: f32 = 0.9;

/// How a country is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CountryForm {
    /// Two letters: `KR`.
    #[default]
    Alpha2,
    /// Three letters: `KOR`.
    Alpha3,
    /// The English short name of the standard, in reading order: `Republic of Korea`.
    Name,
}

/// Writes countries in one form; misspelt names with the similarity as confidence.
#[derive(Debug, Clone, Copy, Default)]
pub struct NormalizeCountry {
    form: CountryForm,
}

impl NormalizeCountry {
    /// Creates a kernel that writes this form.
    pub fn new(form: CountryForm) -> Self {
        Self { form }
    }
}

impl CellKernel for NormalizeCountry {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        let countries: &Countries = &COUNTRIES;
        if cell.len() > LONGEST {
            return Verdict::Invalid;
        }
        if self.form == CountryForm::Alpha2 && countries.code(cell).is_some() {
            return Verdict::Same;
        }
        let Some((country, confidence)) = countries.find(cell) else {
            return Verdict::Invalid;
        };
        let written = match self.form {
            CountryForm::Alpha2 => country.alpha2,
            CountryForm::Alpha3 => country.alpha3,
            CountryForm::Name => &country.name,
        };
        if written == cell {
            return Verdict::Same;
        }
        out.push_str(written);
        Verdict::Changed(confidence)
    }
}

/// A country with its name in reading order.
#[derive(Debug)]
struct Country {
    alpha2: &'static str,
    alpha3: &'static str,
    name: String,
}

/// Where each name and code leads.
struct Countries {
    all: Vec<Country>,
    /// Index of the country of each two capitals, by their places in the alphabet.
    codes: Vec<Option<u16>>,
    /// Index of the country, and the confidence, of each folded name or code.
    names: HashMap<String, (u16, f32), foldhash::fast::RandomState>,
    /// Names that more than one country answers to: `Korea`, `Virgin Islands`.
    shared: HashSet<String, foldhash::fast::RandomState>,
    /// The names that a misspelt one is compared with, by index of the country.
    spellings: Vec<(Vec<char>, u16)>,
}

static COUNTRIES: LazyLock<Countries> = LazyLock::new(Countries::build);

impl Countries {
    fn build() -> Self {
        let mut built = Self {
            all: Vec::with_capacity(ALL.len()),
            codes: vec![None; 26 * 26],
            names: HashMap::default(),
            shared: HashSet::default(),
            spellings: Vec::new(),
        };
        // Once what tells them apart is cut off, two countries may share a name: it names neither.
        let mut shared: HashMap<String, Option<u16>, foldhash::fast::RandomState> =
            HashMap::default();
        for (index, country) in ALL.iter().enumerate() {
            let index = index as u16;
            let name = reading_order(country);
            for key in [fold(country.name), fold(&name)] {
                built.names.insert(key, (index, 1.0));
            }
            shared
                .entry(fold(without_qualifier(country.name)))
                .and_modify(|owner| *owner = None)
                .or_insert(Some(index));
            built.all.push(Country {
                alpha2: country.alpha2,
                alpha3: country.alpha3,
                name,
            });
        }
        for (name, owner) in shared {
            match owner {
                Some(index) => {
                    built.names.entry(name).or_insert((index, 1.0));
                }
                None => {
                    built.shared.insert(name);
                }
            }
        }
        for (names, confidence) in [(&ALIASES[..], 1.0), (&PARTS[..], LOOSE)] {
            for (alpha2, aliases) in names {
                if let Some(at) = ALL.iter().position(|country| country.alpha2 == *alpha2) {
                    for alias in aliases.split('|') {
                        built.names.insert(fold(alias), (at as u16, confidence));
                    }
                }
            }
        }
        let spellings = built
            .names
            .iter()
            .filter(|(name, _)| name.len() >= SHORTEST_MISSPELT);
        built.spellings = spellings
            .map(|(name, (index, _))| (name.chars().collect(), *index))
            .collect();
        // Which of two equally near names comes first must not hang on a hash.
        built.spellings.sort_unstable();
        built.add_codes();
        built
    }

    fn add_codes(&mut self) {
        for (index, country) in ALL.iter().enumerate() {
            let index = index as u16;
            if let Some(slot) = slot_of(country.alpha2.as_bytes()) {
                self.codes[slot] = Some(index);
            }
            for code in [country.alpha2, country.alpha3] {
                self.names.insert(code.to_ascii_lowercase(), (index, 1.0));
            }
            // Spreadsheets drop the zeros that the standard's numbers begin with.
            self.names
                .insert(country.numeric.to_string(), (index, LOOSE));
            self.names
                .insert(format!("{:03}", country.numeric), (index, 1.0));
        }
    }

    /// The country of two capitals.
    fn code(&self, text: &str) -> Option<&Country> {
        let index = self.codes[slot_of(text.as_bytes())?]?;
        self.all.get(usize::from(index))
    }

    fn find(&self, text: &str) -> Option<(&Country, f32)> {
        let folded = fold(text);
        let (index, confidence) = match self.names.get(&folded) {
            Some(found) => *found,
            None if self.shared.contains(&folded) => return None,
            None => self.nearest(&folded)?,
        };
        Some((self.all.get(usize::from(index))?, confidence))
    }

    /// The country whose name is nearest to a misspelt one, if it is near and no other is as near.
    /// Nearness is one less the share of edits (Damerau-Levenshtein, optimal string alignment).
    fn nearest(&self, folded: &str) -> Option<(u16, f32)> {
        let misspelt: Vec<char> = folded.chars().collect();
        if misspelt.len() < SHORTEST_MISSPELT || !misspelt.iter().any(|c| c.is_alphabetic()) {
            return None;
        }
        let mut best: Option<(u16, f64)> = None;
        let mut tied = false;
        for (name, index) in &self.spellings {
            let longer = name.len().max(misspelt.len());
            let least = best.map_or(LEAST_SIMILARITY, |(_, score)| score);
            if name.len().abs_diff(misspelt.len()) as f64 > (1.0 - least) * longer as f64 + 1e-9 {
                continue;
            }
            let edits = osa::distance(name.iter().copied(), misspelt.iter().copied());
            let score = 1.0 - edits as f64 / longer as f64;
            match best {
                Some((other, found)) if score == found && other != *index => tied = true,
                Some((_, found)) if score <= found => {}
                _ if score >= LEAST_SIMILARITY => {
                    best = Some((*index, score));
                    tied = false;
                }
                _ => {}
            }
        }
        let (index, score) = best.filter(|_| !tied)?;
        Some((index, score as f32))
    }
}

/// The place of two capitals in a table of all such pairs.
fn slot_of(text: &[u8]) -> Option<usize> {
    let [first, second] = text else {
        return None;
    };
    if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
        return None;
    }
    Some(usize::from(first - b'A') * 26 + usize::from(second - b'A'))
}

/// `Korea, Republic of` as `Republic of Korea`, `Iran (Islamic Republic of)` likewise; without
/// the marks of footnotes that the list has taken over from its source.
fn reading_order(country: &CountryCode) -> String {
    let name = country
        .name
        .split('[')
        .next()
        .unwrap_or(country.name)
        .trim_end();
    if let Some((head, tail)) = name.split_once(", ")
        && (tail.ends_with(" of") || tail.ends_with(" of the"))
    {
        return format!("{tail} {head}");
    }
    if let Some((head, tail)) = name.split_once(" (")
        && let Some(tail) = tail.strip_suffix(" of)")
    {
        return format!("{tail} of {head}");
    }
    name.to_owned()
}

fn without_qualifier(name: &str) -> &str {
    name.split([',', '(', '[']).next().unwrap_or(name)
}

/// A name without case, accents and punctuation, `&` as `and`, and no article in front.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.nfkd() {
        if c == '&' {
            folded.push_str(if folded.is_empty() { "and" } else { " and" });
            gap = true;
        } else if c.is_alphanumeric() {
            if gap && !folded.is_empty() {
                folded.push(' ');
            }
            gap = false;
            folded.extend(c.to_lowercase());
        } else if !is_combining_mark(c) && !matches!(c, '.' | '\'' | '’' | '`') {
            gap = true;
        }
    }
    match folded.strip_prefix("the ") {
        Some(rest) => rest.to_owned(),
        None => folded,
    }
}

/// Everyday and own names, by code.
const ALIASES: [(&str, &str); 91] = [
    ("AE", "UAE|Emirates|Al Imarat"),
    ("AL", "Shqiperia"),
    ("AM", "Hayastan"),
    ("AT", "Österreich|Oesterreich|Autriche"),
    ("BA", "Bosnia|Bosnia Herzegovina|BiH"),
    ("BE", "Belgique|België|Belgien"),
    ("BG", "България|Balgariya"),
    ("BN", "Brunei"),
    ("BR", "Brasil"),
    ("BS", "Bahamas"),
    ("BY", "Belorussia|Byelorussia|Беларусь"),
    (
        "CD",
        "DR Congo|DRC|Congo Kinshasa|Democratic Republic of Congo|Zaire",
    ),
    ("CF", "CAR"),
    (
        "CG",
        "Congo|Republic of the Congo|Republic of Congo|Congo Brazzaville",
    ),
    ("CH", "Schweiz|Suisse|Svizzera|Swiss Confederation"),
    ("CI", "Ivory Coast"),
    ("CN", "PRC|People's Republic of China|Mainland China|中国"),
    ("CV", "Cape Verde"),
    ("CY", "Kypros"),
    ("CZ", "Czech Republic|Česko|Ceska republika"),
    (
        "DE",
        "Deutschland|Federal Republic of Germany|Allemagne|Alemania|BRD",
    ),
    ("DK", "Danmark"),
    ("DZ", "Algérie"),
    ("EE", "Eesti"),
    ("EG", "Misr|Arab Republic of Egypt"),
    ("ES", "España|Espagne|Spanien"),
    ("FI", "Suomi"),
    ("FK", "Falkland Islands|Falklands|Malvinas"),
    ("FM", "Micronesia"),
    ("FO", "Faeroe Islands"),
    (
        "FR",
        "French Republic|République française|Frankreich|Francia",
    ),
    (
        "GB",
        "UK|United Kingdom|Great Britain|Britain|GBR|Royaume-Uni",
    ),
    ("GE", "Sakartvelo"),
    ("GR", "Hellas|Ελλάδα|Hellenic Republic"),
    ("HK", "Hong Kong SAR|Hongkong"),
    ("HR", "Hrvatska"),
    ("HU", "Magyarország"),
    ("IE", "Éire|Republic of Ireland|Irish Republic"),
    ("IL", "Yisrael"),
    ("IN", "Bharat|Republic of India"),
    ("IR", "Persia"),
    ("IS", "Ísland"),
    ("IT", "Italia|Italien|Italie"),
    ("JP", "Nippon|Nihon|日本"),
    ("KE", "Republic of Kenya"),
    ("KG", "Kirghizia|Kyrgyz Republic"),
    ("KH", "Kampuchea"),
    ("KP", "North Korea|DPRK"),
    ("KR", "South Korea|ROK|한국|대한민국"),
    ("KZ", "Казахстан"),
    ("LA", "Laos|Lao PDR"),
    ("LB", "Liban"),
    ("LT", "Lietuva"),
    ("LU", "Luxemburg"),
    ("LV", "Latvija"),
    ("MA", "Maroc"),
    ("MD", "Moldova"),
    ("MK", "Macedonia|FYROM"),
    ("MM", "Burma"),
    ("MO", "Macau"),
    ("MX", "México|United Mexican States"),
    (
        "NL",
        "Holland|Nederland|Kingdom of the Netherlands|Niederlande|Pays-Bas",
    ),
    ("NO", "Norge|Noreg"),
    ("NZ", "Aotearoa"),
    ("PH", "Pilipinas"),
    ("PL", "Polska|Polen"),
    (
        "PS",
        "Palestine|Palestinian Territories|Palestinian Territory",
    ),
    ("PT", "Portuguese Republic"),
    ("RO", "România|Rumania"),
    ("RS", "Srbija"),
    ("RU", "Russia|Россия|Rossiya|Russland"),
    ("SA", "KSA|Kingdom of Saudi Arabia"),
    ("SE", "Sverige|Schweden"),
    ("SH", "Saint Helena|St Helena"),
    ("SI", "Slovenija"),
    ("SK", "Slovensko|Slovak Republic"),
    ("SY", "Syria"),
    ("SZ", "Swaziland"),
    ("TL", "East Timor"),
    ("TR", "Türkiye|Turkiye|Türkei"),
    ("TT", "Trinidad"),
    ("TW", "Taiwan|ROC|Chinese Taipei"),
    ("TZ", "Tanzania"),
    ("UA", "Україна|Ukraina"),
    (
        "US",
        "USA|United States|America|U.S.A.|US of A|United States America|Estados Unidos|EEUU",
    ),
    ("VA", "Vatican|Vatican City|Vatican City State"),
    ("VE", "Venezuela"),
    ("VG", "British Virgin Islands|BVI"),
    ("VI", "US Virgin Islands|United States Virgin Islands|USVI"),
    ("VN", "Vietnam|Việt Nam"),
    ("ZA", "RSA|Suid-Afrika|Republic of South Africa"),
];

/// Parts of countries that cells name instead of the whole.
const PARTS: [(&str, &str); 3] = [
    ("GB", "England|Scotland|Wales|Northern Ireland"),
    ("BQ", "Bonaire|Saba|Sint Eustatius"),
    ("TZ", "Zanzibar"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn normalized(form: CountryForm, text: &str) -> Option<(String, f32)> {
        let mut out = String::new();
        match NormalizeCountry::new(form).clean(text, &mut out) {
            Verdict::Same => Some((text.to_owned(), 1.0)),
            Verdict::Changed(score) => Some((out, score)),
            Verdict::Invalid => None,
        }
    }

    #[test]
    fn codes_and_names() {
        for (text, code, confidence) in [
            ("US", "US", 1.0),
            (" us ", "US", 1.0),
            ("USA", "US", 1.0),
            ("U.S.", "US", 1.0),
            ("840", "US", 1.0),
            ("004", "AF", 1.0),
            ("4", "AF", LOOSE),
            ("the United States of America", "US", 1.0),
            ("uk", "GB", 1.0),
            ("England", "GB", LOOSE),
            ("Deutschland", "DE", 1.0),
            ("HOLLAND", "NL", 1.0),
            ("Cote d’Ivoire", "CI", 1.0),
            ("Ivory Coast", "CI", 1.0),
            ("South Korea", "KR", 1.0),
            ("Korea, Republic of", "KR", 1.0),
            ("Republic of Korea", "KR", 1.0),
            ("Russia", "RU", 1.0),
            ("Czech Republic", "CZ", 1.0),
            ("Bolivia", "BO", 1.0),
            ("Islamic Republic of Iran", "IR", 1.0),
            ("Trinidad & Tobago", "TT", 1.0),
            ("Curacao", "CW", 1.0),
            ("Niger", "NE", 1.0),
            ("日本", "JP", 1.0),
            ("Austrlia", "AU", 1.0 - 1.0 / 9.0),
            ("Germnay", "DE", 1.0 - 1.0 / 7.0),
            ("Untied States", "US", 1.0 - 1.0 / 13.0),
        ] {
            let (found, score) = normalized(CountryForm::Alpha2, text).unwrap_or_default();
            assert_eq!(found, code, "{text}");
            assert!((score - confidence).abs() < 1e-6, "{text}: {score}");
        }
        for text in [
            "",
            " ",
            "XX",
            "ZZZ",
            "000",
            "Korea",
            "Atlantis",
            "Virgin Islands",
            "12345",
            "🙂",
            "hello world",
        ] {
            assert_eq!(normalized(CountryForm::Alpha2, text), None, "{text}");
        }
        let form = |form, text| normalized(form, text).map(|(text, _)| text);
        assert_eq!(form(CountryForm::Alpha3, "KR").as_deref(), Some("KOR"));
        assert_eq!(
            form(CountryForm::Name, "kor").as_deref(),
            Some("Republic of Korea")
        );
        assert_eq!(
            form(CountryForm::Name, "SJ").as_deref(),
            Some("Svalbard and Jan Mayen")
        );
    }

    /// Each country is found by every form it is written in.
    #[test]
    fn every_form_leads_back() {
        for country in ALL {
            for form in [CountryForm::Alpha2, CountryForm::Alpha3, CountryForm::Name] {
                let (written, _) = normalized(form, country.alpha2).unwrap();
                assert_eq!(
                    normalized(CountryForm::Alpha2, &written),
                    Some((country.alpha2.to_owned(), 1.0)),
                    "{written}"
                );
            }
            for text in [country.name, country.alpha3] {
                let (code, _) = normalized(CountryForm::Alpha2, text).unwrap();
                assert_eq!(code, country.alpha2, "{text}");
            }
        }
    }

    proptest! {
        /// Any text is read or refused.
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = normalized(CountryForm::Name, &text);
        }
    }
}
