//! A folder with dirty data and a job, and the program run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use benchmarks_generator::{CustomerGenerator, StandardJob, conversion, write_table};
use benchmarks_harness::{ClusterOptions, LocalCluster};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sanitizer");

/// The secret of hashes.
pub const SALT: &str = "0123456789abcdef0123456789abcdef";

/// A folder of its own for a test.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// An empty folder.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A folder with `customers.csv` of so many rows and the standard job `job.yaml`.
    pub fn with_customers(rows: u64) -> Self {
        let sandbox = Self::new();
        let generator = CustomerGenerator::new(7);
        write_table(generator, rows, 1, &sandbox.path("customers.csv"), None).unwrap();
        let mut job = StandardJob::new("customers.csv", "out");
        job.pii_salt = "env:TEST_SALT".to_owned();
        sandbox.write("job.yaml", &job.to_yaml());
        sandbox
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The program, about to run in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TEST_SALT", SALT)
            .env("SANITIZER_HOME", self.path(".home"))
            .env_remove("SANITIZER_SALT");
        command
    }

    /// A cluster of the program's processes.
    pub fn cluster(&self, options: ClusterOptions) -> LocalCluster {
        let salt = ("TEST_SALT".to_owned(), SALT.to_owned());
        let options = ClusterOptions {
            environment: [vec![salt], options.environment].concat(),
            ..options
        };
        LocalCluster::start(Path::new(PROGRAM), options).unwrap()
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Gives the customers another format, in a folder of that name.
    pub fn convert(&self, format: &str) {
        let arguments = conversion(format);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.succeed(&arguments);
    }

    /// Runs the program, which must succeed; gives what it printed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Every file under a folder, by path.
pub fn files_under(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_under(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
