//! A SQL condition over the columns of a row.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ExprSchemable;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};

use crate::contract::CONDITION_BYTES;
use crate::error::{Error, Result};
use crate::operation::{CleaningBatch, Layout};
use crate::session::session;
use crate::sql_limits::SqlLimits;

/// The function that reads secrets.
const READS_SECRETS: &str = "pii_hash";

/// A compiled condition.
#[derive(Debug)]
pub(super) struct Condition {
    /// Columns that the condition reads.
    pub(super) columns: Vec<usize>,
    /// These columns: a pass that learns need not have given the others their types.
    schema: SchemaRef,
    expression: Arc<dyn PhysicalExpr>,
    text: String,
}

impl Condition {
    pub(super) fn new(sql: &str, layout: &Layout) -> Result<Self, DataFusionError> {
        if sql.len() > CONDITION_BYTES {
            let problem = format!("a condition may have at most {CONDITION_BYTES} bytes");
            return Err(DataFusionError::Plan(problem));
        }
        SqlLimits::CONDITION
            .check_expression(sql)
            .map_err(DataFusionError::Plan)?;
        let fields: Vec<Field> = layout
            .columns
            .iter()
            .map(|column| Field::new(&column.contract.name, column.data_type.clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let described = DFSchema::try_from(Arc::clone(&schema))?;
        let session = session();
        // A condition is stored and shown, and comes from whoever writes a spec: it reads rows, and no secrets.
        session.deregister_udf(READS_SECRETS);
        let logical = session.parse_sql_expr(sql, &described)?;
        let data_type = logical.get_type(&described)?;
        if data_type != DataType::Boolean {
            return Err(DataFusionError::Plan(format!(
                "{sql:?} is no condition: it gives {data_type}"
            )));
        }
        let expression = session.create_physical_expr(logical, &described)?;
        let columns: BTreeSet<usize> = collect_columns(&expression)
            .iter()
            .map(|column| column.index())
            .collect();
        let columns: Vec<usize> = columns.into_iter().collect();
        let schema = Arc::new(schema.project(&columns)?);
        Ok(Self {
            expression: reassign_expr_columns(expression, &schema)?,
            columns,
            schema,
            text: sql.to_owned(),
        })
    }

    /// Rows for which the condition is false. A row that it cannot judge does not break it.
    pub(super) fn broken(&self, frame: &CleaningBatch) -> Result<Vec<u32>> {
        let options = RecordBatchOptions::new().with_row_count(Some(frame.rows()));
        let read = self.columns.iter();
        let columns = read.map(|column| Arc::clone(&frame.columns[*column]));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options)?;
        let answer = self.expression.evaluate(&batch);
        let answer = answer.map_err(|error| self.refused(&error))?;
        let answer = answer.into_array(frame.rows())?;
        let answer = answer.as_boolean();
        let broken = (0..answer.len()).filter(|row| answer.is_valid(*row) && !answer.value(*row));
        Ok(broken.map(|row| row as u32).collect())
    }

    /// Says why a condition cannot be computed. The engine's own words may hold values, which are nobody's to read.
    fn refused(&self, error: &DataFusionError) -> Error {
        let problem = match error.find_root() {
            DataFusionError::ArrowError(error, _) => match error.as_ref() {
                ArrowError::CastError(_) | ArrowError::ParseError(_) => {
                    "a value cannot be converted to another type; TRY_CAST gives null instead"
                }
                ArrowError::DivideByZero => "a division by zero",
                ArrowError::ArithmeticOverflow(_) => "a number is too large",
                _ => "a value does not fit the condition",
            },
            DataFusionError::ResourcesExhausted(_) => "it needs too much memory",
            _ => "a value does not fit the condition",
        };
        Error::field(
            format!("rule {:?}", self.text),
            format!("cannot be computed: {problem}"),
        )
    }
}
