//! The detector and the column decision on the labelled texts of Presidio.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::column::ColumnEvidence;
use super::detect::Detector;
use super::entity::Entity;

fn data(path: &str) -> Option<String> {
    let path = format!("{}/../../shared/data/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {path} is missing");
    }
    text
}

/// Each kind is found in a sentence, and its near misses are not.
#[test]
fn cases() {
    let detector = Detector::new();
    let cases: &[(&str, &[(Entity, &str)])] = &[
        (
            "mail ada@example.org now",
            &[(Entity::Email, "ada@example.org")],
        ),
        ("ada@localhost", &[]),
        (
            "call (415) 555-0132 x12.",
            &[(Entity::Phone, "(415) 555-0132 x12")],
        ),
        ("+44 20 7183 8750", &[(Entity::Phone, "+44 20 7183 8750")]),
        (
            "card 4111 1111 1111 1111",
            &[(Entity::CreditCard, "4111 1111 1111 1111")],
        ),
        ("card 4111 1111 1111 1112", &[]),
        (
            "GB82 WEST 1234 5698 7654 32 AND",
            &[(Entity::Iban, "GB82 WEST 1234 5698 7654 32")],
        ),
        ("ssn 536-90-4399", &[(Entity::UsSsn, "536-90-4399")]),
        ("666-90-4399", &[]),
        (
            "192.168.1.10, fe80::1",
            &[
                (Entity::IpAddress, "192.168.1.10"),
                (Entity::IpAddress, "fe80::1"),
            ],
        ),
        ("at 12:30:45 and 1.2.3.4.5", &[]),
        (
            "MAC 00:1A:2B:3C:4D:5E",
            &[(Entity::MacAddress, "00:1A:2B:3C:4D:5E")],
        ),
        (
            "see https://example.org/a?b.",
            &[(Entity::Url, "https://example.org/a?b")],
        ),
        ("README.md, e.g. this.Then", &[]),
        (
            "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
            &[(Entity::CryptoAddress, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")],
        ),
        ("born 31.01.1980", &[(Entity::DateOfBirth, "31.01.1980")]),
        ("due 31.01.2030", &[]),
        ("passport A12803456", &[(Entity::Passport, "A12803456")]),
        ("part A12803456", &[]),
        ("public 4155550132", &[]),
        ("$1,234,567.89 -4155550132 4.155550132", &[]),
        ("NHS 943 476 5919", &[(Entity::UkNhs, "943 476 5919")]),
        ("TFN 876 543 210", &[(Entity::AuTfn, "876 543 210")]),
        (
            "RSSMRA85T10A562S",
            &[(Entity::ItFiscalCode, "RSSMRA85T10A562S")],
        ),
        ("", &[]),
        ("é@ü ☎ 👩", &[]),
    ];
    for (text, want) in cases {
        let got: Vec<(Entity, &str)> = detector
            .detect(text)
            .iter()
            .map(|span| (span.entity, &text[span.start..span.end]))
            .collect();
        assert_eq!(&got, want, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Spans ascend, do not overlap and end at character boundaries, whatever the text.
    #[test]
    fn spans_are_well_formed(text in "(\\PC{0,4}|[0-9a-fxX@.:+() -]{0,12}|[A-Z]{2}[0-9]{2} [0-9]{4}|ada@example.org){0,8}") {
        let detector = Detector::new();
        let mut end = 0;
        for span in detector.detect(&text) {
            prop_assert!(span.start >= end && span.end > span.start);
            prop_assert!(text.get(span.start..span.end).is_some());
            prop_assert!((0.5..=1.0).contains(&span.score));
            end = span.end;
        }
    }
}

/// Long cells of one kind of byte end in time: nothing is searched twice.
#[test]
fn long_cells_end() {
    let detector = Detector::new();
    for unit in [
        "1",
        "1 ",
        "a.",
        "a@",
        ":",
        "(1-",
        "0x",
        "é",
        "4111 1111 1111 1111 ",
    ] {
        detector.detect(&unit.repeat(100_000 / unit.len()));
    }
}

/// The entity that a file of Presidio's tests is about.
fn entity_of(file: &str) -> Option<Entity> {
    let name = file
        .trim_start_matches("test_")
        .trim_end_matches("_recognizer.py");
    Some(match name {
        "email" => Entity::Email,
        "phone" => Entity::Phone,
        "credit_card" => Entity::CreditCard,
        "iban" => Entity::Iban,
        "us_ssn" => Entity::UsSsn,
        "ip" => Entity::IpAddress,
        "mac" => Entity::MacAddress,
        "url" => Entity::Url,
        "crypto" => Entity::CryptoAddress,
        "us_passport" => Entity::Passport,
        "uk_driving_licence" | "us_driver_license" => Entity::DrivingLicence,
        "uk_nhs" => Entity::UkNhs,
        "uk_nino" => Entity::UkNino,
        "es_nif" | "es_nie" => Entity::EsNif,
        "it_fiscal_code" => Entity::ItFiscalCode,
        "pl_pesel" => Entity::PlPesel,
        "in_aadhaar" => Entity::InAadhaar,
        "in_pan" => Entity::InPan,
        "sg_fin" => Entity::SgNric,
        "au_tfn" => Entity::AuTfn,
        "au_abn" => Entity::AuAbn,
        "au_acn" => Entity::AuAcn,
        "ca_sin" => Entity::CaSin,
        _ => return None,
    })
}

/// The cases of Presidio's own tests: found at all (as one of its recognisers would, whatever the
/// score) in the positive ones, and reported in none of the negative ones.
#[test]
fn presidio_cases() {
    let Some(text) = data("pii_presidio_cases/cases.jsonl") else {
        return;
    };
    let detector = Detector::new();
    let mut by_file: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let file = case["file"].as_str().unwrap();
        let (Some(entity), Some(expected)) =
            (entity_of(file), case["params"]["expected_len"].as_u64())
        else {
            continue;
        };
        let text = case["text"].as_str().unwrap();
        let possible = detector
            .candidates(text)
            .iter()
            .any(|found| found.entity == entity);
        let reported = detector
            .detect(text)
            .iter()
            .any(|span| span.entity == entity);
        let counts = by_file.entry(file.to_owned()).or_default();
        if expected > 0 {
            counts[0] += 1;
            counts[1] += usize::from(possible);
        } else {
            counts[2] += 1;
            counts[3] += usize::from(reported);
        }
        if std::env::var_os("SHOW_WRONG").is_some()
            && (expected > 0 && !possible || expected == 0 && reported)
        {
            println!("  {file} expected {expected}: {text:?}");
        }
    }
    let mut sums = [0; 4];
    for (file, counts) in &by_file {
        println!(
            "{file}: {}/{} found, {}/{} falsely reported",
            counts[1], counts[0], counts[3], counts[2]
        );
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    println!(
        "all: {}/{} found, {}/{} falsely reported",
        sums[1], sums[0], sums[3], sums[2]
    );
    assert!(sums[1] * 100 >= sums[0] * 93 && sums[3] * 100 <= sums[2] * 12);
}

/// Spans of the synthetic texts of Presidio's research set, for the kinds that have a pattern.
#[test]
fn presidio_research() {
    let Some(text) = data("pii_presidio_research/synth_dataset_v2.json") else {
        return;
    };
    let detector = Detector::new();
    let texts: Value = serde_json::from_str(&text).unwrap();
    let kinds = [
        ("EMAIL_ADDRESS", Entity::Email),
        ("PHONE_NUMBER", Entity::Phone),
        ("CREDIT_CARD", Entity::CreditCard),
        ("IBAN_CODE", Entity::Iban),
        ("US_SSN", Entity::UsSsn),
        ("IP_ADDRESS", Entity::IpAddress),
        ("DOMAIN_NAME", Entity::Url),
        ("US_DRIVER_LICENSE", Entity::DrivingLicence),
        ("DATE_TIME", Entity::DateOfBirth),
    ];
    let mut counts: BTreeMap<Entity, [usize; 3]> = BTreeMap::new();
    for sample in texts.as_array().unwrap() {
        let text = sample["full_text"].as_str().unwrap();
        // Offsets of the set count characters.
        let byte = |at: &Value| {
            let at = at.as_u64().unwrap() as usize;
            text.char_indices()
                .nth(at)
                .map_or(text.len(), |(byte, _)| byte)
        };
        let labelled: Vec<(Entity, usize, usize)> = sample["spans"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|span| {
                let kind = span["entity_type"].as_str()?;
                let (_, entity) = kinds.iter().find(|(name, _)| *name == kind)?;
                Some((
                    *entity,
                    byte(&span["start_position"]),
                    byte(&span["end_position"]),
                ))
            })
            .collect();
        let found = detector.detect(text);
        let meets = |one: (usize, usize), two: (usize, usize)| one.0 < two.1 && two.0 < one.1;
        for (entity, start, end) in &labelled {
            let hit = found.iter().any(|span| {
                span.entity == *entity && meets((span.start, span.end), (*start, *end))
            });
            // Of all dates only those of birth are looked for.
            if *entity == Entity::DateOfBirth {
                continue;
            }
            let count = counts.entry(*entity).or_default();
            count[0] += 1;
            count[1] += usize::from(hit);
            if !hit && std::env::var_os("SHOW_WRONG").is_some() {
                println!("  missed {entity}: {:?} in {text:?}", &text[*start..*end]);
            }
        }
        for span in &found {
            let right = labelled.iter().any(|(entity, start, end)| {
                *entity == span.entity && meets((span.start, span.end), (*start, *end))
            });
            if !right {
                counts.entry(span.entity).or_default()[2] += 1;
                if std::env::var_os("SHOW_WRONG").is_some() {
                    println!(
                        "  false {}: {:?} in {text:?}",
                        span.entity,
                        &text[span.start..span.end]
                    );
                }
            }
        }
    }
    let mut sums = [0; 3];
    for (entity, count) in &counts {
        println!(
            "{entity}: {}/{} spans found, {} false",
            count[1], count[0], count[2]
        );
        for (sum, count) in sums.iter_mut().zip(count) {
            *sum += count;
        }
    }
    let recall = sums[1] as f64 / sums[0] as f64;
    let precision = sums[1] as f64 / (sums[1] + sums[2]) as f64;
    println!("all: recall {recall:.3}, precision {precision:.3}");
    assert!(recall >= 0.85 && precision >= 0.85);
}

fn decide(name: &str, cells: impl IntoIterator<Item = String>) -> Option<(Entity, bool)> {
    let detector = Detector::new();
    let mut evidence = [ColumnEvidence::default(), ColumnEvidence::default()];
    for (row, cell) in cells.into_iter().enumerate() {
        evidence[row % 2].observe(&detector, &cell);
    }
    let [mut one, two] = evidence;
    one.merge(&two);
    let finding = one.decide(name)?;
    assert!((0.0..=1.0).contains(&finding.confidence) && (0.0..=1.0).contains(&finding.hit_rate));
    Some((finding.entity, finding.free_text))
}

/// Numbers without order, the same in every run.
fn numbers(count: usize, below: u64) -> impl Iterator<Item = u64> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 16) % below
    })
    .take(count)
}

/// Columns that single cells would mislabel are judged by all their cells and their name.
#[test]
fn columns() {
    let texts = |text: &'static str, count: usize| std::iter::repeat_n(text.to_owned(), count);
    // What chance makes of plain numbers is no personal data.
    let cards =
        || numbers(400, 1_000_000_000_000_000).map(|n| format!("{}", 4_000_000_000_000_000 + n));
    assert_eq!(decide("order", cards()), None);
    let tens = || numbers(400, 9_000_000_000).map(|n| format!("{}", 1_000_000_000 + n));
    assert_eq!(decide("order_id", tens()), None);
    let nines = || numbers(400, 900_000_000).map(|n| format!("{}", 100_000_000 + n));
    assert_eq!(decide("order_id", nines()), None);
    let amounts = || numbers(400, 9_000_000).map(|n| format!("{}.{:02}", 1_000 + n, n % 100));
    assert_eq!(decide("amount", amounts()), None);
    assert_eq!(decide("id", (0..400).map(|n| format!("{n}"))), None);
    assert_eq!(
        decide("sku", (0..400).map(|n| format!("A{}", 12_803_456 + n))),
        None
    );
    assert_eq!(decide("status", texts("active", 100)), None);
    assert_eq!(decide("flight_date", texts("2024-01-31", 100)), None);
    assert_eq!(
        decide("hospital_name", texts("Callahan Eye Foundation", 100)),
        None
    );
    assert_eq!(decide("name", texts("Callahan Eye Hospital", 100)), None);
    let shares = || numbers(400, 100_000_000).map(|n| format!("0.{n:08}"));
    assert_eq!(decide("share", shares()), None);
    assert_eq!(decide("empty", std::iter::empty()), None);
    // What it is, by form, by check digit or by name.
    let emails = || (0..100).map(|n| format!("user{n}@example.com"));
    assert_eq!(decide("contact", emails()), Some((Entity::Email, false)));
    let dirty = emails().chain(texts("unknown", 40));
    assert_eq!(decide("x", dirty), Some((Entity::Email, false)));
    let phones = || numbers(200, 10_000).map(|n| format!("(415) 555-{n:04}"));
    assert_eq!(decide("x", phones()), Some((Entity::Phone, false)));
    let plain = || numbers(200, 10_000).map(|n| format!("415555{n:04}"));
    assert_eq!(decide("phone", plain()), Some((Entity::Phone, false)));
    assert_eq!(decide("x", plain()), None);
    assert_eq!(
        decide("x", texts("4111 1111 1111 1111", 50)),
        Some((Entity::CreditCard, false))
    );
    assert_eq!(
        decide("ssn", texts("536904399", 50)),
        Some((Entity::UsSsn, false))
    );
    assert_eq!(
        decide("tfn", texts("876543210", 50)),
        Some((Entity::AuTfn, false))
    );
    assert_eq!(
        decide("first_name", texts("Ada", 50)),
        Some((Entity::Person, false))
    );
    assert_eq!(
        decide("address", texts("12 Main St", 50)),
        Some((Entity::Location, false))
    );
    assert_eq!(
        decide("dob", texts("1980-01-31", 50)),
        Some((Entity::DateOfBirth, false))
    );
    assert_eq!(
        decide("passport_no", texts("912803456", 50)),
        Some((Entity::Passport, false))
    );
    // Notes hold data within text: the column is not that data.
    let notes = || {
        (0..999)
            .map(|n| format!("note {n} about nothing"))
            .chain(["write to ada@example.org today".to_owned()])
    };
    assert_eq!(decide("notes", notes()), Some((Entity::Email, true)));
}
