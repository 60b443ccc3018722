//! `demo-data FOLDER` writes a small dirty table and a job spec that cleans it, as `benchmarks demo` does, without anything of the
//! engine having been built.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [folder] = arguments.as_slice() else {
        eprintln!("usage: demo-data FOLDER");
        return ExitCode::from(2);
    };
    match benchmarks_generator::write_demo(Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
