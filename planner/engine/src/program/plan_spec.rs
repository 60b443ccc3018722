//! What a program is made from, which is what another process is given in its place.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;

use super::Program;
use crate::contract::Contract;
use crate::error::Result;
use crate::spec::JobSpec;
use crate::steps::ImpliedSteps;

/// A job, its contract and the types of its columns: the same recipe gives the same program in
/// every process. A program holds secrets; a recipe names them.
#[derive(Debug)]
pub struct PlanSpec {
    /// The spec.
    pub job: JobSpec,
    /// The contract, complete.
    pub contract: Contract,
    /// Types of the source's columns.
    pub types: Vec<DataType>,
    /// Which steps there are beside those that the job names.
    pub implied: ImpliedSteps,
    program: OnceLock<Arc<Program>>,
}

impl PlanSpec {
    /// A recipe. Nothing is compiled, and no secret looked up, before the program is asked for.
    pub fn new(job: JobSpec, contract: Contract, types: Vec<DataType>) -> Self {
        Self {
            job,
            contract,
            types,
            implied: ImpliedSteps::default(),
            program: OnceLock::new(),
        }
    }

    /// The recipe, with other steps beside those that the job names.
    #[must_use]
    pub fn with_implied(self, implied: ImpliedSteps) -> Self {
        Self {
            implied,
            program: OnceLock::new(),
            ..self
        }
    }

    /// The program, where it has been compiled.
    pub(crate) fn compiled(&self) -> Option<&Program> {
        self.program.get().map(Arc::as_ref)
    }

    /// The program, compiled when it is first asked for.
    pub fn program(&self) -> Result<Arc<Program>> {
        if let Some(program) = self.program.get() {
            return Ok(Arc::clone(program));
        }
        let program = Program::compile_with(&self.job, &self.contract, &self.types, self.implied)?;
        Ok(Arc::clone(self.program.get_or_init(|| Arc::new(program))))
    }
}
