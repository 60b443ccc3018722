//! Changed cells, as far as they are kept here, and how many there are.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::MetadataStore;
use super::database::Scope;
use super::error::Result;
use super::record::params;

/// A changed cell.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Cell {
    /// Number of the row in the source, from 0.
    pub row_id: i64,
    /// The column.
    pub column_name: String,
    /// Its text in the source; a placeholder where it is personal data.
    pub original_value: Option<String>,
    /// Its text in the cleaned data; a placeholder where it is personal data.
    pub cleaned_value: Option<String>,
    /// The last transformation that changed it.
    pub transformation_id: String,
    /// How sure the change is, 0 to 1.
    pub confidence_score: f64,
    /// What kind of transformation changed it.
    pub source: String,
}

/// How many cells of a column a transformation changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ColumnCount {
    /// The transformation.
    pub transformation_id: String,
    /// The column.
    pub column_name: String,
    /// Changed cells.
    pub cells: i64,
    /// Those with a confidence below 1.
    pub low_confidence: i64,
    /// Whether the store holds all of them.
    #[serde(skip)]
    pub complete: bool,
}

/// Which cells are wanted.
#[derive(Debug, Clone, Default)]
pub struct CellFilter {
    /// Of this row.
    pub row_id: Option<i64>,
    /// Of this column.
    pub column: Option<String>,
    /// Changed by this transformation.
    pub transformation_id: Option<String>,
    /// With a confidence below this.
    pub below: Option<f64>,
    /// Behind this cell, by row and column.
    pub after: Option<(i64, String)>,
}

/// Some cells, and whether there are more.
#[derive(Debug, Clone)]
pub struct CellPage {
    /// The cells, by row and column.
    pub cells: Vec<Cell>,
    /// Whether there are more.
    pub more: bool,
}

impl MetadataStore {
    /// How many cells of each column each transformation of a job changed.
    pub async fn provenance_counts(&self, tenant: Uuid, job: Uuid) -> Result<Vec<ColumnCount>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT transformation_id, column_name, cells, low_confidence, complete FROM provenance_counts
                 WHERE tenant_id = $1 AND job_id = $2 ORDER BY transformation_id, column_name",
                params![tenant, job],
            )
            .await?;
        transaction.commit().await?;
        let counts = rows.iter().map(|row| {
            Ok(ColumnCount {
                transformation_id: row.text("transformation_id")?,
                column_name: row.text("column_name")?,
                cells: row.int("cells")?,
                low_confidence: row.int("low_confidence")?,
                complete: row.bool("complete")?,
            })
        });
        counts.collect()
    }

    /// Changed cells of a job that the store holds, by row and column.
    pub async fn cells(
        &self,
        tenant: Uuid,
        job: Uuid,
        filter: &CellFilter,
        limit: i64,
    ) -> Result<CellPage> {
        let (after_row, after_column) = filter.after.clone().unzip();
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT row_id, column_name, original_value, cleaned_value, transformation_id, confidence_score, source
                 FROM cell_provenance WHERE tenant_id = $1 AND job_id = $2
                   AND ($3 IS NULL OR row_id = $3) AND ($4 IS NULL OR column_name = $4)
                   AND ($5 IS NULL OR transformation_id = $5) AND ($6 IS NULL OR confidence_score < $6)
                   AND ($7 IS NULL OR row_id > $7 OR (row_id = $7 AND column_name > $8))
                 ORDER BY row_id, column_name LIMIT $9",
                params![
                    tenant,
                    job,
                    filter.row_id,
                    filter.column.as_deref(),
                    filter.transformation_id.as_deref(),
                    filter.below,
                    after_row,
                    after_column,
                    limit + 1,
                ],
            )
            .await?;
        transaction.commit().await?;
        let more = rows.len() as i64 > limit;
        let cells = rows.iter().take(usize::try_from(limit).unwrap_or(0));
        let cells = cells.map(|row| {
            Ok(Cell {
                row_id: row.int("row_id")?,
                column_name: row.text("column_name")?,
                original_value: row.opt_text("original_value")?,
                cleaned_value: row.opt_text("cleaned_value")?,
                transformation_id: row.text("transformation_id")?,
                confidence_score: row.float("confidence_score")?,
                source: row.text("source")?,
            })
        });
        Ok(CellPage {
            cells: cells.collect::<Result<_>>()?,
            more,
        })
    }
}
