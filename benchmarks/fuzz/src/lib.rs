//! What the targets share: one set of parsers for a process, to which libFuzzer's inputs are given.

use std::cell::OnceCell;

pub use benchmarks::fuzz::Target;
use benchmarks::fuzz::{MOST_BYTES, Parsers};
use tempfile::TempDir;

struct Opened {
    parsers: Parsers,
    _folder: TempDir,
}

thread_local! {
    static OPENED: OnceCell<Opened> = const { OnceCell::new() };
}

fn open() -> Opened {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let parsers = Parsers::open(folder.path()).expect("the parsers can be opened");
    Opened {
        parsers,
        _folder: folder,
    }
}

/// Gives an input to a parser.
///
/// # Panics
/// The parser cannot be given it, or breaks by it. Time and memory are bounded by libFuzzer's own `-timeout` and
/// `-malloc_limit_mb`.
pub fn give(target: Target, input: &[u8]) {
    if input.len() > MOST_BYTES {
        return;
    }
    OPENED.with(|opened| {
        let opened = opened.get_or_init(open);
        if let Err(error) = opened.parsers.cost(target, input) {
            panic!("{}: {error:#}", target.name());
        }
    });
}
