//! `rules`: what must hold of the values, and what becomes of those that break it.

mod check;
mod condition;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::check::RuleCheck;
use super::{NamedStep, Patterns, Step};
use crate::contract::{BusinessRule, Columns};
use crate::error::Result;
use crate::operation::{
    CleaningBatch, ColumnSet, Confidence, Flag, Layout, Op, RemovalReason, Statistic,
    StatisticValue, StepContext, known,
};
use crate::statistics::{Keep, RepeatedKeys, Repeats};

/// Checks the contract's business rules, and those given here. Rules are applied one after
/// another, column by column, those of `unique` last; a missing value breaks only `not_null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Columns whose contract rules are checked.
    #[serde(default)]
    pub columns: Columns,
    /// What becomes of a violation.
    #[serde(default)]
    pub on_violation: OnViolation,
    /// Rules beside those of the contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RowRule>,
}

/// A rule of a column, given in a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowRule {
    /// Column that the rule speaks of, and that a violation is charged to.
    pub column: String,
    /// The rule.
    pub rule: BusinessRule,
}

/// What becomes of a violation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnViolation {
    /// It is counted in the report and stays.
    #[default]
    Flag,
    /// The cell becomes null.
    SetNull,
    /// The row goes to quarantine.
    Quarantine,
    /// The job fails.
    Fail,
}

impl NamedStep for Rules {
    const NAME: &'static str = "rules";
    const EXAMPLE: &'static str = "{type: rules, on_violation: quarantine, rules: [{column: age, rule: {range: {min: 0, max: 120}}}]}";
}

impl Step for Rules {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let mut rules: Vec<(usize, BusinessRule)> = Vec::new();
        for number in layout.select(&self.columns, &context.field, |_| true, "any column")? {
            let column = &layout.columns[number].contract;
            if !column.nullable {
                rules.push((number, BusinessRule::NotNull));
            }
            let own = column.business_rules.iter().cloned();
            rules.extend(own.map(|rule| (number, rule)));
        }
        for (place, rule) in self.rules.iter().enumerate() {
            let field = format!("{}.rules[{place}].column", context.field);
            rules.push((layout.find(&rule.column, &field)?, rule.rule.clone()));
        }
        let (mut checks, mut unique) = (Vec::new(), Vec::new());
        for (number, rule) in rules {
            match rule {
                BusinessRule::Unique if !unique.contains(&number) => unique.push(number),
                BusinessRule::Unique => {}
                // Said twice, as not_null beside nullable: false, a rule is checked once.
                BusinessRule::NotNull
                    if checks.iter().any(|check: &RuleCheck| {
                        check.column == number && check.name() == rule.name()
                    }) => {}
                rule => checks.push(RuleCheck::new(number, &rule, layout, context)?),
            }
        }
        let mut ops: Vec<Box<dyn Op>> = Vec::new();
        if !checks.is_empty() {
            ops.push(Box::new(RuleOp {
                transformation: context.transformation,
                checks,
                action: self.on_violation,
            }));
        }
        for column in unique {
            ops.push(Box::new(UniqueOp {
                transformation: context.transformation,
                column,
                repeated: RepeatedKeys {
                    columns: vec![column],
                    keep: Keep::First,
                    skip_nulls: true,
                },
                action: self.on_violation,
            }));
        }
        Ok(ops)
    }

    fn on_violation(&self) -> Option<&'static str> {
        Some(match self.on_violation {
            OnViolation::Flag => "flag",
            OnViolation::SetNull => "set_null",
            OnViolation::Quarantine => "quarantine",
            OnViolation::Fail => "fail",
        })
    }

    fn patterns(&self) -> Patterns {
        let is_pattern = |rule: &&RowRule| matches!(rule.rule, BusinessRule::Regex(_));
        Patterns {
            own: self.rules.iter().filter(is_pattern).count(),
            contract: true,
        }
    }
}

impl OnViolation {
    /// Applies the action to rows of a frame that break a rule.
    fn act(
        self,
        frame: &mut CleaningBatch,
        transformation: u16,
        column: usize,
        rule: &'static str,
        rows: Vec<u32>,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        match self {
            Self::Flag | Self::Fail => frame.flags.push(Flag {
                transformation,
                column,
                rule,
                rows,
                fatal: self == Self::Fail,
            }),
            Self::SetNull => {
                // A missing value cannot be set to null: it is only counted.
                let array = frame.columns[column].clone();
                let present: Vec<u32> = rows
                    .iter()
                    .copied()
                    .filter(|row| arrow::array::Array::is_valid(&array, *row as usize))
                    .collect();
                frame.flags.push(Flag {
                    transformation,
                    column,
                    rule,
                    rows,
                    fatal: false,
                });
                frame.set_null(transformation, column, present, Confidence::All(1.0))?;
            }
            Self::Quarantine => {
                let loss = RemovalReason::Violation {
                    transformation,
                    column,
                    rule,
                };
                frame.remove(rows.into_iter().map(|row| (row, loss.clone())).collect());
            }
        }
        Ok(())
    }
}

/// Rules that look at one row.
#[derive(Debug)]
struct RuleOp {
    transformation: u16,
    checks: Vec<RuleCheck>,
    action: OnViolation,
}

impl Op for RuleOp {
    fn reads(&self) -> ColumnSet {
        self.checks.iter().flat_map(RuleCheck::reads).collect()
    }

    fn writes(&self) -> ColumnSet {
        match self.action {
            OnViolation::SetNull => self.checks.iter().map(|check| check.column).collect(),
            _ => ColumnSet::new(),
        }
    }

    fn drops_rows(&self) -> bool {
        self.action == OnViolation::Quarantine
    }

    fn apply(&self, frame: &mut CleaningBatch, _: Option<&StatisticValue>) -> Result<()> {
        for check in &self.checks {
            let broken = check.broken(frame)?;
            self.action.act(
                frame,
                self.transformation,
                check.column,
                check.name(),
                broken,
            )?;
        }
        Ok(())
    }
}

/// No value occurs twice; the first row keeps it.
#[derive(Debug)]
struct UniqueOp {
    transformation: u16,
    column: usize,
    repeated: RepeatedKeys,
    action: OnViolation,
}

impl Op for UniqueOp {
    fn reads(&self) -> ColumnSet {
        [self.column].into_iter().collect()
    }

    fn writes(&self) -> ColumnSet {
        match self.action {
            OnViolation::SetNull => self.reads(),
            _ => ColumnSet::new(),
        }
    }

    fn drops_rows(&self) -> bool {
        self.action == OnViolation::Quarantine
    }

    fn statistic(&self) -> Option<&dyn Statistic> {
        Some(&self.repeated)
    }

    fn apply(&self, frame: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()> {
        let repeats: &Repeats = known(value)?;
        let rows = repeats.among(frame.first_row, frame.rows()).iter();
        let rows = rows
            .map(|(row, _)| (row - frame.first_row) as u32)
            .filter(|row| frame.is_live(*row as usize))
            .collect();
        self.action
            .act(frame, self.transformation, self.column, "unique", rows)
    }
}
