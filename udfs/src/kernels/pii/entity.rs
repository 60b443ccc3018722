//! The kinds of personal data.

use std::fmt;
use std::str::FromStr;

/// A kind of personal data; displayed and read under the name that Presidio gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// E-mail address.
    Email,
    /// Telephone number.
    Phone,
    /// Payment card number.
    CreditCard,
    /// International bank account number (ISO 13616).
    Iban,
    /// US social security number.
    UsSsn,
    /// IPv4 or IPv6 address.
    IpAddress,
    /// Hardware address of a network card.
    MacAddress,
    /// Web address.
    Url,
    /// Bitcoin address.
    CryptoAddress,
    /// Name of a person.
    Person,
    /// Postal address or place.
    Location,
    /// Date of birth.
    DateOfBirth,
    /// Passport number.
    Passport,
    /// Number of a driving licence.
    DrivingLicence,
    /// UK health service number.
    UkNhs,
    /// UK national insurance number.
    UkNino,
    /// Spanish tax number of citizens (NIF) and foreigners (NIE).
    EsNif,
    /// Italian fiscal code.
    ItFiscalCode,
    /// Polish personal number.
    PlPesel,
    /// Indian Aadhaar number.
    InAadhaar,
    /// Indian permanent account number.
    InPan,
    /// Singapore identity number of citizens (NRIC) and foreigners (FIN).
    SgNric,
    /// Australian tax file number.
    AuTfn,
    /// Australian business number.
    AuAbn,
    /// Australian company number.
    AuAcn,
    /// Canadian social insurance number.
    CaSin,
    /// Personal data of another or an unknown kind.
    Pii,
}

/// Number of kinds.
pub(super) const ENTITY_COUNT: usize = Entity::ALL.len();

impl Entity {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 27] = [
        Self::Email,
        Self::Phone,
        Self::CreditCard,
        Self::Iban,
        Self::UsSsn,
        Self::IpAddress,
        Self::MacAddress,
        Self::Url,
        Self::CryptoAddress,
        Self::Person,
        Self::Location,
        Self::DateOfBirth,
        Self::Passport,
        Self::DrivingLicence,
        Self::UkNhs,
        Self::UkNino,
        Self::EsNif,
        Self::ItFiscalCode,
        Self::PlPesel,
        Self::InAadhaar,
        Self::InPan,
        Self::SgNric,
        Self::AuTfn,
        Self::AuAbn,
        Self::AuAcn,
        Self::CaSin,
        Self::Pii,
    ];

    /// Returns the placeholder of a hidden value, the name in brackets: `<EMAIL>`.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "<EMAIL>",
            Self::Phone => "<PHONE>",
            Self::CreditCard => "<CREDIT_CARD>",
            Self::Iban => "<IBAN>",
            Self::UsSsn => "<US_SSN>",
            Self::IpAddress => "<IP_ADDRESS>",
            Self::MacAddress => "<MAC_ADDRESS>",
            Self::Url => "<URL>",
            Self::CryptoAddress => "<CRYPTO>",
            Self::Person => "<PERSON>",
            Self::Location => "<LOCATION>",
            Self::DateOfBirth => "<DATE_OF_BIRTH>",
            Self::Passport => "<PASSPORT>",
            Self::DrivingLicence => "<DRIVER_LICENSE>",
            Self::UkNhs => "<UK_NHS>",
            Self::UkNino => "<UK_NINO>",
            Self::EsNif => "<ES_NIF>",
            Self::ItFiscalCode => "<IT_FISCAL_CODE>",
            Self::PlPesel => "<PL_PESEL>",
            Self::InAadhaar => "<IN_AADHAAR>",
            Self::InPan => "<IN_PAN>",
            Self::SgNric => "<SG_NRIC>",
            Self::AuTfn => "<AU_TFN>",
            Self::AuAbn => "<AU_ABN>",
            Self::AuAcn => "<AU_ACN>",
            Self::CaSin => "<CA_SIN>",
            Self::Pii => "<PII>",
        }
    }

    /// Returns the name, such as `EMAIL`.
    pub fn name(self) -> &'static str {
        self.placeholder()
            .trim_start_matches('<')
            .trim_end_matches('>')
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no kind of personal data has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of personal data '{name}'")]
pub struct UnknownEntity {
    /// What was given.
    pub name: String,
}

impl FromStr for Entity {
    type Err = UnknownEntity;

    /// Reads a name in any case; Presidio's longer names (`EMAIL_ADDRESS`, `US_PASSPORT`) count too.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let upper = name.trim().to_ascii_uppercase().replace(['-', ' '], "_");
        let known = match upper.as_str() {
            "EMAIL_ADDRESS" => Some(Self::Email),
            "PHONE_NUMBER" => Some(Self::Phone),
            "IBAN_CODE" => Some(Self::Iban),
            "SSN" => Some(Self::UsSsn),
            "CRYPTO_ADDRESS" => Some(Self::CryptoAddress),
            "US_PASSPORT" | "UK_PASSPORT" => Some(Self::Passport),
            "US_DRIVER_LICENSE" | "UK_DRIVING_LICENCE" | "DRIVING_LICENCE" => {
                Some(Self::DrivingLicence)
            }
            "ES_NIE" => Some(Self::EsNif),
            "SG_NRIC_FIN" => Some(Self::SgNric),
            _ => Self::ALL.into_iter().find(|entity| entity.name() == upper),
        };
        known.ok_or_else(|| UnknownEntity {
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// Every kind is read back from its name, and its place in the list is its number.
    #[test]
    fn names_round_trip() {
        for (position, entity) in Entity::ALL.into_iter().enumerate() {
            assert_eq!(entity.to_string().parse::<Entity>(), Ok(entity));
            assert_eq!(entity.name().to_lowercase().parse::<Entity>(), Ok(entity));
            assert_eq!(entity.index(), position);
            assert_eq!(entity.placeholder(), format!("<{entity}>"));
        }
        assert_eq!("email address".parse::<Entity>(), Ok(Entity::Email));
        assert!("nothing".parse::<Entity>().is_err());
    }
}
