//! Words around a span that say what it is.

use super::entity::Entity;

/// Number of words before a span, and after it, that are searched.
const WORDS_BEFORE: usize = 6;
const WORDS_AFTER: usize = 2;
/// Bytes to search for them in, so that a long cell costs no more than a short one.
const REACH: usize = 80;

/// Returns whether one of the words that indicate `entity` is near the span, as a whole word.
pub(super) fn supports(entity: Entity, text: &str, start: usize, end: usize) -> bool {
    let words = words_of(entity);
    if words.is_empty() {
        return false;
    }
    let mut from = start.saturating_sub(REACH);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let mut to = (end + REACH / 2).min(text.len());
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    let near = |piece: &str| words.iter().any(|word| piece.eq_ignore_ascii_case(word));
    let before = text.get(from..start).unwrap_or_default();
    let after = text.get(end..to).unwrap_or_default();
    split(before).rev().take(WORDS_BEFORE).any(near) || split(after).take(WORDS_AFTER).any(near)
}

fn split(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// The words, in lower case.
fn words_of(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::Phone => &[
            "phone",
            "telephone",
            "tel",
            "mobile",
            "cell",
            "cellphone",
            "call",
            "fax",
            "contact",
            "whatsapp",
            "sms",
            "message",
            "messages",
            "dial",
            "telefon",
            "reach",
            "answering",
            "office",
            "desk",
        ],
        Entity::CreditCard => &[
            "card",
            "credit",
            "debit",
            "visa",
            "mastercard",
            "amex",
            "discover",
            "cc",
            "payment",
            "diners",
            "jcb",
            "maestro",
        ],
        Entity::Iban => &["iban", "bank", "account", "transfer", "transaction"],
        Entity::UsSsn => &["ssn", "ssns", "ssid", "social", "security"],
        Entity::IpAddress => &["ip", "ipv4", "ipv6", "address", "host", "server"],
        Entity::MacAddress => &["mac", "hardware", "physical", "ethernet", "device"],
        Entity::CryptoAddress => &[
            "wallet", "btc", "bitcoin", "crypto", "eth", "ethereum", "address",
        ],
        Entity::DateOfBirth => &["birth", "born", "dob", "birthday", "birthdate"],
        Entity::Passport => &["passport", "travel", "passports"],
        Entity::DrivingLicence => &[
            "driver", "drivers", "driving", "license", "licence", "dl", "permit",
        ],
        Entity::UkNhs => &["nhs", "health", "patient"],
        Entity::UkNino => &["nino", "ni", "national", "insurance"],
        Entity::EsNif => &[
            "nif",
            "dni",
            "nie",
            "documento",
            "identidad",
            "identificacion",
        ],
        Entity::ItFiscalCode => &["codice", "fiscale", "fiscal", "cf"],
        Entity::PlPesel => &["pesel"],
        Entity::InAadhaar => &["aadhaar", "uidai", "uid"],
        Entity::InPan => &["pan", "permanent", "tax"],
        Entity::SgNric => &["nric", "fin", "singapore"],
        Entity::AuTfn => &["tfn", "tax", "file"],
        Entity::AuAbn => &["abn", "business", "australian"],
        Entity::AuAcn => &["acn", "company", "australian"],
        Entity::CaSin => &["sin", "social", "insurance", "canadian"],
        Entity::Email | Entity::Url | Entity::Person | Entity::Location | Entity::Pii => &[],
    }
}
