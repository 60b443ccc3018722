//! What the name of a column says of its content.

use super::entity::Entity;

/// What a column's name says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum NameHint {
    /// Nothing.
    None,
    /// It holds this, with a trust from 0 to 1.
    Entity(Entity, f64),
    /// Amounts, counts or technical data.
    NotPersonal,
}

impl NameHint {
    pub(super) fn names(self, entity: Entity) -> bool {
        matches!(self, Self::Entity(named, _) if named == entity)
    }
}

/// Words that make a name one of an object: "product name", "file name", "host address".
const THINGS: [&str; 43] = [
    "product",
    "file",
    "company",
    "organization",
    "organisation",
    "business",
    "hospital",
    "brand",
    "event",
    "table",
    "column",
    "measure",
    "host",
    "server",
    "domain",
    "category",
    "item",
    "team",
    "group",
    "project",
    "school",
    "agency",
    "department",
    "dept",
    "plan",
    "drug",
    "class",
    "type",
    "facility",
    "store",
    "beer",
    "brewery",
    "county",
    "region",
    "field",
    "bridge",
    "park",
    "building",
    "site",
    "venue",
    "restaurant",
    "hotel",
    "city",
];

/// Words of amounts and counts.
const AMOUNTS: [&str; 32] = [
    "amount",
    "price",
    "cost",
    "total",
    "sum",
    "count",
    "qty",
    "quantity",
    "balance",
    "revenue",
    "sales",
    "salary",
    "income",
    "fee",
    "rate",
    "score",
    "percent",
    "pct",
    "latitude",
    "longitude",
    "lat",
    "lon",
    "lng",
    "weight",
    "height",
    "width",
    "length",
    "size",
    "duration",
    "version",
    "timestamp",
    "population",
];

/// Sequences of words, the more specific first; the last number is the confidence.
const NAMES: &[(&[&str], Entity, f64)] = &[
    (&["date", "of", "birth"], Entity::DateOfBirth, 0.98),
    (&["birth", "date"], Entity::DateOfBirth, 0.98),
    (&["birth", "day"], Entity::DateOfBirth, 0.95),
    (&["birthdate"], Entity::DateOfBirth, 0.98),
    (&["birthday"], Entity::DateOfBirth, 0.95),
    (&["dob"], Entity::DateOfBirth, 0.98),
    (&["born"], Entity::DateOfBirth, 0.85),
    (&["email"], Entity::Email, 0.98),
    (&["e", "mail"], Entity::Email, 0.98),
    (&["mail", "address"], Entity::Email, 0.8),
    (&["ip", "address"], Entity::IpAddress, 0.98),
    (&["ip"], Entity::IpAddress, 0.9),
    (&["ipv4"], Entity::IpAddress, 0.95),
    (&["ipv6"], Entity::IpAddress, 0.95),
    (&["mac", "address"], Entity::MacAddress, 0.98),
    (&["mac"], Entity::MacAddress, 0.7),
    (&["phone"], Entity::Phone, 0.95),
    (&["phones"], Entity::Phone, 0.95),
    (&["telephone"], Entity::Phone, 0.95),
    (&["phonenumber"], Entity::Phone, 0.95),
    (&["tel"], Entity::Phone, 0.9),
    (&["mobile"], Entity::Phone, 0.9),
    (&["cell"], Entity::Phone, 0.7),
    (&["cellphone"], Entity::Phone, 0.95),
    (&["fax"], Entity::Phone, 0.9),
    (&["ssn"], Entity::UsSsn, 0.98),
    (&["social", "security"], Entity::UsSsn, 0.95),
    (&["social", "insurance"], Entity::CaSin, 0.95),
    (&["credit", "card"], Entity::CreditCard, 0.95),
    (&["card", "number"], Entity::CreditCard, 0.9),
    (&["creditcard"], Entity::CreditCard, 0.95),
    (&["cc", "number"], Entity::CreditCard, 0.9),
    (&["iban"], Entity::Iban, 0.98),
    (&["passport"], Entity::Passport, 0.95),
    (&["driver", "license"], Entity::DrivingLicence, 0.95),
    (&["drivers", "license"], Entity::DrivingLicence, 0.95),
    (&["driver", "licence"], Entity::DrivingLicence, 0.95),
    (&["driving", "licence"], Entity::DrivingLicence, 0.95),
    (&["driving", "license"], Entity::DrivingLicence, 0.95),
    (&["nhs"], Entity::UkNhs, 0.95),
    (&["nino"], Entity::UkNino, 0.95),
    (&["national", "insurance"], Entity::UkNino, 0.95),
    (&["dni"], Entity::EsNif, 0.95),
    (&["nif"], Entity::EsNif, 0.95),
    (&["nie"], Entity::EsNif, 0.9),
    (&["codice", "fiscale"], Entity::ItFiscalCode, 0.95),
    (&["fiscal", "code"], Entity::ItFiscalCode, 0.9),
    (&["pesel"], Entity::PlPesel, 0.98),
    (&["aadhaar"], Entity::InAadhaar, 0.98),
    (&["aadhar"], Entity::InAadhaar, 0.95),
    (&["pan", "number"], Entity::InPan, 0.9),
    (&["pan"], Entity::InPan, 0.7),
    (&["nric"], Entity::SgNric, 0.98),
    (&["tfn"], Entity::AuTfn, 0.95),
    (&["tax", "file"], Entity::AuTfn, 0.95),
    (&["abn"], Entity::AuAbn, 0.95),
    (&["acn"], Entity::AuAcn, 0.95),
    (&["sin"], Entity::CaSin, 0.7),
    (&["wallet"], Entity::CryptoAddress, 0.8),
    (&["bitcoin"], Entity::CryptoAddress, 0.9),
    (&["url"], Entity::Url, 0.9),
    (&["website"], Entity::Url, 0.9),
    (&["web", "site"], Entity::Url, 0.9),
    (&["homepage"], Entity::Url, 0.9),
    (&["first", "name"], Entity::Person, 0.95),
    (&["last", "name"], Entity::Person, 0.95),
    (&["middle", "name"], Entity::Person, 0.95),
    (&["full", "name"], Entity::Person, 0.95),
    (&["given", "name"], Entity::Person, 0.95),
    (&["family", "name"], Entity::Person, 0.95),
    (&["maiden", "name"], Entity::Person, 0.95),
    (&["customer", "name"], Entity::Person, 0.85),
    (&["patient", "name"], Entity::Person, 0.95),
    (&["employee", "name"], Entity::Person, 0.95),
    (&["contact", "name"], Entity::Person, 0.9),
    (&["firstname"], Entity::Person, 0.95),
    (&["lastname"], Entity::Person, 0.95),
    (&["fullname"], Entity::Person, 0.95),
    (&["fname"], Entity::Person, 0.9),
    (&["lname"], Entity::Person, 0.9),
    (&["surname"], Entity::Person, 0.95),
    (&["forename"], Entity::Person, 0.95),
    (&["person"], Entity::Person, 0.7),
    (&["street"], Entity::Location, 0.9),
    (&["address"], Entity::Location, 0.85),
    (&["addr"], Entity::Location, 0.8),
    (&["address1"], Entity::Location, 0.85),
    (&["address2"], Entity::Location, 0.7),
    (&["home", "town"], Entity::Location, 0.7),
    (&["location"], Entity::Location, 0.6),
    (&["name"], Entity::Person, 0.6),
];

/// Returns what the name of a column indicates; its words are separated by punctuation and capitals.
pub(super) fn hint(column_name: &str) -> NameHint {
    let words = words(column_name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if has(&AMOUNTS) {
        return NameHint::NotPersonal;
    }
    let is_thing = has(&THINGS);
    NAMES
        .iter()
        .filter(|(sequence, ..)| words.windows(sequence.len()).any(|part| part == *sequence))
        .find(|(_, entity, _)| !(is_thing && matches!(entity, Entity::Person | Entity::Location)))
        .map_or(NameHint::None, |(_, entity, trust)| {
            NameHint::Entity(*entity, *trust)
        })
}

/// Words of what describes a person without naming one.
const ABOUT: [&str; 13] = [
    "bic",
    "city",
    "gender",
    "insurance",
    "nationality",
    "patient",
    "postcode",
    "salary",
    "sex",
    "tax",
    "town",
    "zip",
    "zipcode",
];

/// Returns whether the name of a column indicates data about a person. Ambiguous names do: the audit log prefers one
/// record too many to one too few.
pub fn is_about_a_person(column_name: &str) -> bool {
    let words = words(column_name);
    matches!(hint(column_name), NameHint::Entity(..))
        || words.iter().any(|word| ABOUT.contains(&word.as_str()))
}

/// "customerEmail_2" is customer, email, 2.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        let begins = !before.is_alphanumeric()
            || (c.is_uppercase() && before.is_lowercase())
            || (before.is_numeric() && c.is_alphabetic() && !before.is_ascii_digit());
        if c.is_alphanumeric() {
            match words.last_mut() {
                Some(word) if !begins => word.extend(c.to_lowercase()),
                _ => words.push(c.to_lowercase().collect()),
            }
        }
        before = c;
    }
    words
}

/// Returns whether a text of letters has a word that occurs in names of objects and not of persons.
pub(super) fn is_title(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "of", "the", "and", "at", "in", "for", "on", "with", "inc", "ltd", "llc", "gmbh",
    ];
    text.split(|c: char| !c.is_alphanumeric()).any(|word| {
        WORDS
            .iter()
            .chain(&THINGS)
            .any(|known| word.eq_ignore_ascii_case(known))
    })
}

/// Returns whether a cell is a date with a day, in digits or with the name of a month.
pub(super) fn is_date_like(text: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    if text.len() > 32 {
        return false;
    }
    let parts: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect();
    let is_month = |part: &str| {
        part.get(..3)
            .is_some_and(|part| MONTHS.iter().any(|month| part.eq_ignore_ascii_case(month)))
    };
    let is_day_or_year = |part: &str| {
        matches!(part.len(), 1 | 2 | 4) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match parts.as_slice() {
        [one] => {
            // 19800131
            one.len() == 8
                && one.bytes().all(|byte| byte.is_ascii_digit())
                && matches!(one.get(..2), Some("19" | "20"))
        }
        [one, two, three, ..] => {
            // A fourth part is the time, which something else than a point stands before.
            if parts.len() > 3 && !text.contains([' ', 'T', 't']) {
                return false;
            }
            let year = parts[..3]
                .iter()
                .any(|part| part.len() == 4 && is_day_or_year(part))
                || parts[..3]
                    .iter()
                    .all(|part| is_day_or_year(part) || is_month(part));
            // "1980-01-31T00:00:00" keeps its day with the T.
            let three = three.split(['T', 't']).next().unwrap_or(three);
            year && [*one, *two, three]
                .into_iter()
                .all(|part| is_day_or_year(part) || is_month(part))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// Data about a person is more than what names one.
    #[test]
    fn about_a_person() {
        for name in [
            "customer_email",
            "E-Mail",
            "homeAddress",
            "Last Name",
            "IBAN",
            "phone_2",
            "zip",
            "Salary",
        ] {
            assert!(is_about_a_person(name), "{name}");
        }
        for name in [
            "id",
            "code",
            "amount",
            "created_at",
            "emailed",
            "x",
            "product_name",
            "",
        ] {
            assert!(!is_about_a_person(name), "{name}");
        }
    }

    /// Whole words decide, however they are joined.
    #[test]
    fn cases() {
        let cases = [
            ("email", Some(Entity::Email)),
            ("customerEmail", Some(Entity::Email)),
            ("E-Mail", Some(Entity::Email)),
            ("IP_ADDRESS", Some(Entity::IpAddress)),
            ("PhoneNumber", Some(Entity::Phone)),
            ("home phone 2", Some(Entity::Phone)),
            ("first_name", Some(Entity::Person)),
            ("DOB", Some(Entity::DateOfBirth)),
            ("date_of_birth", Some(Entity::DateOfBirth)),
            ("address", Some(Entity::Location)),
            ("HospitalName", None),
            ("product_name", None),
            ("phone_cost", None),
            ("microphone", None),
            ("publication", None),
            ("", None),
        ];
        for (column, want) in cases {
            let got = match hint(column) {
                NameHint::Entity(entity, _) => Some(entity),
                _ => None,
            };
            assert_eq!(got, want, "{column}");
        }
        assert_eq!(hint("total_amount"), NameHint::NotPersonal);
        for date in [
            "1980-01-31",
            "31/1/1980",
            "Jan 31, 1980",
            "19800131",
            "1980-01-31T10:00",
        ] {
            assert!(is_date_like(date), "{date}");
        }
        for other in ["", "12.5", "hello", "1-800-555", "99999999", "10.0.0.1234"] {
            assert!(!is_date_like(other), "{other}");
        }
    }
}
