//! `sanitizer run` and `sanitizer explain`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use planner::report::summary_lines;
use planner::run::{JobRun, explain_job};
use planner::spec::{JobSpec, PiiStrategy};
use serde_json::json;

use crate::arguments::{JobArguments, RunArguments};
use crate::lines::print_line;
use crate::progress::Bar;

/// Runs a job and prints its account.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    let mut job = load(&arguments.job)?;
    job.cluster = arguments.surroundings.cluster()?;
    let threads = match job.spec.options.partitions {
        planner::spec::Partitions::Count(count) => count,
        planner::spec::Partitions::Auto => {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let bar = Bar::start(Arc::clone(&job.progress));
    let progress = Arc::clone(&job.progress);
    let finished = runtime.block_on(async {
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                progress.cancel();
            }
        });
        job.run().await
    });
    bar.stop();
    let finished = finished?;
    let remembered = arguments.surroundings.remember(&job, &finished);
    if let Err(error) = runtime.block_on(remembered) {
        // The output is there all the same.
        tracing::warn!(%error, "the catalog does not know of the output");
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&finished.report)?);
    } else {
        for line in summary_lines(&finished.report) {
            print_line(&line);
        }
        println!("Output: {}", finished.output);
        println!("Report: {}", finished.output.join("report.html"));
    }
    Ok(())
}

/// Prints the passes of a job.
pub(crate) fn explain(arguments: &JobArguments) -> anyhow::Result<()> {
    let job = load(arguments)?;
    let staging = tempfile::tempdir().context("no temporary folder can be made")?;
    print!(
        "{}",
        explain_job(&job, &planner::storage::Place::own(staging.path()))?
    );
    Ok(())
}

/// The job that the command line asks for.
pub(crate) fn load(arguments: &JobArguments) -> anyhow::Result<JobRun> {
    let here = std::env::current_dir().context("the current folder cannot be told")?;
    let (mut spec, base) = match arguments.spec_path() {
        Some(path) => {
            let base = path.parent().map(Path::to_owned).unwrap_or_default();
            (JobSpec::load(&path, &arguments.set)?, here.join(base))
        }
        None => (data_spec(arguments)?, here.clone()),
    };
    // Paths of the command line start where the person stands.
    if let Some(input) = &arguments.input {
        spec.source.location.0 = vec![from_here(&here, input)];
    }
    if let Some(output) = &arguments.output {
        spec.output.location = from_here(&here, output);
    }
    if let Some(id) = &arguments.job_id {
        spec.options.job_id = Some(id.clone());
    }
    if let Some(choice) = arguments.pii {
        hide(&mut spec, choice.into());
    }
    Ok(JobRun::new(spec, base))
}

/// The spec of the default pipeline on data.
fn data_spec(arguments: &JobArguments) -> anyhow::Result<JobSpec> {
    let mut document = json!({"source": {"location": [arguments.job]}});
    if arguments.output.is_none() {
        // Clean data beside the dirty: customers.csv → customers-clean.
        let path = PathBuf::from(&arguments.job);
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let name = format!("{}-clean", stem.as_deref().unwrap_or("out"));
        document["output"] = json!({"location": name});
    }
    let text = serde_json::to_string(&document)?;
    Ok(JobSpec::parse(&text, "command line", &arguments.set)?)
}

pub(crate) fn from_here(here: &Path, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    here.join(location).to_string_lossy().into_owned()
}

/// `--pii`: personal data, found or declared, is treated so.
fn hide(spec: &mut JobSpec, strategy: PiiStrategy) {
    spec.dataset.pii_strategy = Some(strategy);
    spec.dataset.pii_detect = true;
    for step in spec.steps.iter_mut().flatten() {
        step.step_mut().treat_personal_data(strategy);
    }
}
