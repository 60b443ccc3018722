//! Errors across processes. Ballista tells the driver of a failure in its debug notation only, so
//! an executor puts its errors into an envelope that survives it.

use std::fmt::{self, Debug, Display};
use std::io;

use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// What an envelope begins with.
const MARK: &str = "sanitizer-error:";

/// An error as it is told to another process.
#[derive(Clone, Serialize, Deserialize)]
struct Told {
    kind: ErrorKind,
    message: String,
}

// Ballista sends the debug notation.
impl Debug for Told {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        write!(to, "{MARK}{json}")
    }
}

impl Display for Told {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

impl std::error::Error for Told {}

/// An operator's error in the form in which it reaches the driver. What another try may mend is told as an error of input
/// and output: Ballista tries such a task again, elsewhere if it can.
pub fn failure_for_driver(error: Error) -> DataFusionError {
    let told = Told {
        kind: error.kind(),
        message: if error.is_out_of_memory() {
            format!("an executor has too little memory for its tasks ({error}); raise its limit")
        } else {
            error.to_string()
        },
    };
    let again = match told.kind {
        ErrorKind::Unavailable | ErrorKind::NotFound => true,
        ErrorKind::Exhausted => !error.is_out_of_memory(),
        _ => false,
    };
    if again {
        DataFusionError::IoError(io::Error::other(told))
    } else {
        DataFusionError::External(Box::new(told))
    }
}

/// The error of an operator in another process, in the debug notation of whatever it was wrapped in; none if there is
/// none in the text.
pub fn remote_error(text: &str) -> Option<Error> {
    let json = &text[text.find(MARK)? + MARK.len()..];
    let mut documents = serde_json::Deserializer::from_str(json).into_iter::<Told>();
    let told = documents.next()?.ok()?;
    Some(Error::Remote {
        kind: told.kind,
        message: told.message,
    })
}
