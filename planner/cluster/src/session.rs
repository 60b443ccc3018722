//! The session of a member of a cluster.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::utils::default_session_builder;
use datafusion::error::Result as EngineResult;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use planner_engine::session::BATCH_ROWS;
use planner_storage::RootedStores;
use planner_telemetry::TraceOptions;
use udfs::scalar::bounded::bounded;

/// The settings of a session on a member of a cluster.
pub fn member_config() -> SessionConfig {
    SessionConfig::new_with_ballista()
        .with_batch_size(BATCH_ROWS)
        .with_option_extension(TraceOptions::default())
}

/// The session of a member of a cluster: Ballista's, with the cleaning functions.
pub fn member_session(config: SessionConfig) -> EngineResult<SessionState> {
    // Functions come last: Ballista replaces the lists.
    let state = default_session_builder(config)?;
    // Plans name files beneath the roots of tenants, which a member sees like a driver.
    let runtime = state.runtime_env();
    let stores = RootedStores::over(Arc::clone(&runtime.object_store_registry));
    let runtime = RuntimeEnvBuilder::from_runtime_env(runtime)
        .with_object_store_registry(Arc::new(stores))
        .build_arc()?;
    let mut state = SessionStateBuilder::new_from_existing(state)
        .with_runtime_env(runtime)
        .build();
    let given: Vec<_> = state.scalar_functions().values().cloned().collect();
    for function in given.iter().filter_map(bounded) {
        state.register_udf(Arc::new(function))?;
    }
    for function in udfs::registry::scalar_functions() {
        state.register_udf(function)?;
    }
    for function in udfs::registry::aggregate_functions() {
        state.register_udaf(function)?;
    }
    for function in udfs::registry::window_functions() {
        state.register_udwf(function)?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use ballista_core::extension::SessionConfigHelperExt;

    /// What the driver sets reaches executors as members tell each other their settings.
    #[test]
    fn members_are_told() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut scheduler = member_config();
        scheduler
            .options_mut()
            .set(TraceOptions::PARENT, parent)
            .unwrap();
        let told = scheduler.to_key_value_pairs();
        let executor = member_config().update_from_key_value_pair(&told);
        let options = executor.options().extensions.get::<TraceOptions>();
        assert_eq!(options.unwrap().parent, parent);
        assert!(scheduler.options_mut().set("trace.other", "x").is_err());
    }
}
