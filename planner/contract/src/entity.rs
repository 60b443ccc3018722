//! The kind of personal data in a column, for its placeholder.

use udfs::kernels::pii::entity::Entity;

use super::ContractColumn;

/// Words of column names, and the kind that they indicate.
const WORDS: &[(&[&str], Entity)] = &[
    (&["email", "mail"], Entity::Email),
    (
        &["phone", "telephone", "mobile", "cell", "fax", "tel"],
        Entity::Phone,
    ),
    (&["ssn"], Entity::UsSsn),
    (&["iban"], Entity::Iban),
    (&["card", "cc"], Entity::CreditCard),
    (&["ip"], Entity::IpAddress),
    (&["mac"], Entity::MacAddress),
    (&["url", "website"], Entity::Url),
    (
        &["birth", "dob", "birthday", "birthdate"],
        Entity::DateOfBirth,
    ),
    (&["passport"], Entity::Passport),
    (&["licence", "license"], Entity::DrivingLicence),
    (
        &["address", "street", "city", "town", "zip", "postcode"],
        Entity::Location,
    ),
    (
        &["name", "firstname", "lastname", "surname", "person"],
        Entity::Person,
    ),
];

impl ContractColumn {
    /// Returns the kind of personal data in the column: as detected, as its name indicates, or unknown.
    pub fn entity(&self) -> Entity {
        let found = self.inferred.as_ref().and_then(|seen| seen.pii.as_ref());
        found
            .and_then(|found| found.entity.parse().ok())
            .or_else(|| entity_of_name(&self.name))
            .unwrap_or(Entity::Pii)
    }
}

/// Returns the kind that the words of a column's name indicate: `customer_email`, `HomePhone`.
fn entity_of_name(name: &str) -> Option<Entity> {
    let mut words: Vec<String> = Vec::new();
    let mut lower = false;
    for character in name.chars() {
        if !character.is_alphanumeric() {
            words.push(String::new());
        } else if words.is_empty() || (lower && character.is_uppercase()) {
            words.push(character.to_lowercase().collect());
        } else if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
        lower = character.is_lowercase();
    }
    let announced =
        |(marks, _): &&(&[&str], Entity)| words.iter().any(|word| marks.contains(&word.as_str()));
    WORDS.iter().find(announced).map(|(_, entity)| *entity)
}
