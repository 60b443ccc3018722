//! The rows of the table: each a function of the seed and its number.

use crate::cells::Cells;
use crate::customer::{self, Customer};
use crate::damage::{self, Damage};
use crate::notation;
use crate::random::{Purpose, Random};
use crate::sequence::RowKind;

/// The columns of the table, in order.
pub const COLUMNS: [&str; 9] = [
    "customer_id",
    "full_name",
    "email",
    "phone",
    "address",
    "status",
    "signup_date",
    "age",
    "income",
];

/// The columns of the truth, in order: what kind of row it is, then the clean values.
pub const TRUTH_COLUMNS: [&str; 12] = [
    "row_id",
    "kind",
    "duplicate_of",
    "customer_id",
    "full_name",
    "email",
    "phone",
    "address",
    "status",
    "signup_date",
    "age",
    "income",
];

/// One row of the table, dirty and clean.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What the file holds; a ragged row has more or fewer cells than columns.
    pub dirty: Cells,
    /// What a perfect cleaner would make of it, before it imputes: one cell for each of [`COLUMNS`], empty where the
    /// dirt destroyed the value; no cells for a ragged row.
    pub clean: Cells,
    /// Whether it is a customer of its own; of two equal rows the first is the one to keep.
    pub kind: Option<RowKind>,
}

/// Makes the rows of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerGenerator {
    seed: u64,
    near_per_mille: u64,
}

impl CustomerGenerator {
    /// The table of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            near_per_mille: 0,
        }
    }

    /// The table with so many near duplicates in a thousand rows, at most 500, in the place of customers of their own.
    pub fn with_near_duplicates(self, per_mille: u64) -> Self {
        Self {
            near_per_mille: per_mille.min(500),
            ..self
        }
    }

    /// What kind of row a row number holds.
    pub fn kind(&self, row: u64) -> RowKind {
        RowKind::of_row(self.seed, self.near_per_mille, row)
    }

    /// Makes row `number` in place of what `row` held.
    pub fn fill(&self, number: u64, row: &mut Row) {
        let kind = self.kind(number);
        let (first_row, spelling) = match kind {
            RowKind::Original | RowKind::Ragged => (number, number),
            RowKind::Copy { of } => (of, of),
            RowKind::Respelt { of } | RowKind::NearDuplicate { of, .. } => (of, number),
        };
        let mut customer = Customer::of_row(self.seed, first_row);
        let mut damage = Damage::of_row(self.seed, first_row, &customer);
        if let RowKind::NearDuplicate { by, .. } = kind {
            customer.customer_id = Customer::id_of_row(number);
            let mut random = Random::for_row(self.seed, number, Purpose::Alteration);
            by.apply(&mut random, &mut customer, &mut damage);
        }
        let mut random = Random::for_row(self.seed, spelling, Purpose::Notation);
        row.kind = Some(kind);
        row.dirty.clear();
        row.clean.clear();
        if kind == RowKind::Ragged {
            push_ragged(&mut row.dirty, &mut random, &customer, &damage);
        } else {
            push_dirty(&mut row.dirty, &mut random, &customer, &damage);
            push_clean(&mut row.clean, &customer, &damage);
        }
    }

    /// Row `number`.
    pub fn row(&self, number: u64) -> Row {
        let mut row = Row::default();
        self.fill(number, &mut row);
        row
    }
}

/// Adds what stands in the place of a lost value, or else the value.
fn push_or(cells: &mut Cells, lost: Option<&str>, write: impl FnOnce(&mut String)) {
    match lost {
        Some(lost) => cells.push(lost),
        None => cells.push_with(write),
    }
}

fn push_dirty(cells: &mut Cells, random: &mut Random, customer: &Customer, damage: &Damage) {
    cells.push_with(|text| customer::push_number(text, customer.customer_id));
    push_or(cells, damage.name, |text| {
        notation::push_text(text, random, &customer.full_name, damage.name_case);
    });
    push_or(cells, damage.email, |text| {
        notation::push_email(
            text,
            &customer.email,
            damage.email_case,
            damage.email_without_at,
        );
    });
    push_or(cells, damage.phone, |text| {
        notation::push_phone(text, random, customer.phone)
    });
    push_or(cells, damage.address, |text| {
        notation::push_text(text, random, &customer.address, damage::LetterCase::Kept);
    });
    cells.push(&damage.status);
    push_or(cells, damage.signup_date, |text| {
        notation::push_date(text, random, customer.signup_date)
    });
    push_or(cells, damage.age, |text| notation::push_age(text, customer));
    push_or(cells, damage.income, |text| {
        notation::push_income(text, customer.income_cents, damage.income_notation);
    });
}

fn push_clean(cells: &mut Cells, customer: &Customer, damage: &Damage) {
    let lost = |damage: Option<&str>| damage.map(|_| "");
    cells.push_with(|text| customer::push_number(text, customer.customer_id));
    push_or(cells, lost(damage.name), |text| {
        text.push_str(&customer.full_name)
    });
    let email_lost = damage.email.is_some() || damage.email_without_at;
    cells.push(if email_lost { "" } else { &customer.email });
    push_or(cells, lost(damage.phone), |text| {
        notation::push_e164(text, customer.phone)
    });
    push_or(cells, lost(damage.address), |text| {
        text.push_str(&customer.address)
    });
    cells.push(customer.status);
    push_or(cells, lost(damage.signup_date), |text| {
        notation::push_iso_date(text, customer.signup_date)
    });
    push_or(cells, lost(damage.age), |text| {
        notation::push_age(text, customer)
    });
    push_or(cells, lost(damage.income), |text| {
        notation::push_income(text, customer.income_cents, damage::IncomeNotation::Plain);
    });
}

/// A line that was cut off in the middle, or one with an unquoted comma too many.
fn push_ragged(cells: &mut Cells, random: &mut Random, customer: &Customer, damage: &Damage) {
    if random.chance(500) {
        cells.push_with(|text| customer::push_number(text, customer.customer_id));
        cells.push(&customer.full_name);
        cells.push(&customer.email);
        if random.chance(500) {
            cells.push_with(|text| notation::push_phone(text, random, customer.phone));
        }
    } else {
        push_dirty(cells, random, customer, damage);
        cells.push("moved");
    }
}
