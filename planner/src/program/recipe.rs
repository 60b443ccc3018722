//! What a program is made from, which is what another process is given in its place.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;

use super::Program;
use crate::contract::Contract;
use crate::error::Result;
use crate::spec::JobSpec;

/// A job, its contract and the types of its columns: the same recipe gives the same program in
/// every process. A program holds secrets; a recipe names them.
#[derive(Debug)]
pub struct Recipe {
    /// The spec.
    pub job: JobSpec,
    /// The contract, complete.
    pub contract: Contract,
    /// Types of the source's columns.
    pub types: Vec<DataType>,
    program: OnceLock<Arc<Program>>,
}

impl Recipe {
    /// A recipe. Nothing is compiled, and no secret looked up, before the program is asked for.
    pub fn new(job: JobSpec, contract: Contract, types: Vec<DataType>) -> Self {
        Self {
            job,
            contract,
            types,
            program: OnceLock::new(),
        }
    }

    /// The program, compiled when it is first asked for.
    pub fn program(&self) -> Result<Arc<Program>> {
        if let Some(program) = self.program.get() {
            return Ok(Arc::clone(program));
        }
        let program = Program::compile(&self.job, &self.contract, &self.types)?;
        Ok(Arc::clone(self.program.get_or_init(|| Arc::new(program))))
    }
}
