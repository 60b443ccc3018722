//! The session of everything that plans or runs: the same functions and settings on the command line and in tests. Members of
//! a cluster have the same functions.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use udfs::scalar::bounded::bounded;

/// Rows of a batch: batches are cut at multiples of it in the whole source.
pub const BATCH_ROWS: usize = 8192;

/// A session with the cleaning functions.
pub fn session() -> SessionContext {
    session_in(SessionConfig::new(), Arc::default())
}

/// A session like [`session`], on other settings and another runtime.
pub fn session_in(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config.with_batch_size(BATCH_ROWS))
        .with_runtime_env(runtime)
        .build();
    let context = SessionContext::new_with_state(state);
    let given = context.state();
    let bounded = given.scalar_functions().values().filter_map(bounded);
    bounded.for_each(|function| context.register_udf(function));
    for function in udfs::registry::scalar_functions() {
        context.register_udf(function.as_ref().clone());
    }
    for function in udfs::registry::aggregate_functions() {
        context.register_udaf(function.as_ref().clone());
    }
    for function in udfs::registry::window_functions() {
        context.register_udwf(function.as_ref().clone());
    }
    context
}
