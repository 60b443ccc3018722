//! The calls and actions of the protocol, and what each needs: one table, from which the check and the
//! reference follow. A call that is not in it is refused.

use arrow_flight::sql::Command;
use tonic::Status;

/// What a call needs beside a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: this is how a login begins.
    Credentials,
    /// Nothing more; the answer holds what the login may see.
    Login,
    /// What the kind of the statement in it needs.
    Statement,
    /// What the kind `ingest` needs.
    Ingest,
    /// A ticket, handle or session of its own; those of others are unknown.
    Own,
    /// It is refused: the service does not have it.
    Absent,
}

/// A call, a command of a call, or an action.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Name in the protocol.
    pub(crate) name: &'static str,
    /// What it needs.
    pub(crate) needs: Needs,
}

const fn call(name: &'static str, needs: Needs) -> Call {
    Call { name, needs }
}

/// All calls that the service knows.
pub(crate) const CALLS: &[Call] = &[
    call("Handshake", Needs::Credentials),
    call("ListFlights", Needs::Login),
    call("ListActions", Needs::Login),
    call("DoExchange", Needs::Absent),
    call("CommandStatementQuery", Needs::Statement),
    call("CommandStatementUpdate", Needs::Statement),
    call("CommandStatementIngest", Needs::Ingest),
    call("CommandPreparedStatementQuery", Needs::Own),
    call("CommandPreparedStatementUpdate", Needs::Own),
    call("TicketStatementQuery", Needs::Own),
    call("CommandGetCatalogs", Needs::Login),
    call("CommandGetDbSchemas", Needs::Login),
    call("CommandGetTables", Needs::Login),
    call("CommandGetTableTypes", Needs::Login),
    call("CommandGetPrimaryKeys", Needs::Login),
    call("CommandGetExportedKeys", Needs::Login),
    call("CommandGetImportedKeys", Needs::Login),
    call("CommandGetCrossReference", Needs::Login),
    call("CommandGetSqlInfo", Needs::Login),
    call("CommandGetXdbcTypeInfo", Needs::Login),
    call("CommandStatementSubstraitPlan", Needs::Absent),
    call("CreatePreparedStatement", Needs::Statement),
    call("ClosePreparedStatement", Needs::Own),
    call("CancelQuery", Needs::Own),
    call("CancelFlightInfo", Needs::Own),
    call("RenewFlightEndpoint", Needs::Own),
    call("SetSessionOptions", Needs::Own),
    call("GetSessionOptions", Needs::Own),
    call("CloseSession", Needs::Own),
    call("CreatePreparedSubstraitPlan", Needs::Absent),
    call("BeginTransaction", Needs::Absent),
    call("EndTransaction", Needs::Absent),
    call("BeginSavepoint", Needs::Absent),
    call("EndSavepoint", Needs::Absent),
];

/// Refuses a command that the service does not know or have.
pub(super) fn check_command(command: &Command) -> Result<(), Status> {
    let url = command.type_url();
    check(url.rsplit('.').next().unwrap_or(url))
}

/// Refuses an action that the service does not know or have.
pub(super) fn check_action(name: &str) -> Result<(), Status> {
    check(name)
}

fn check(name: &str) -> Result<(), Status> {
    match CALLS.iter().find(|call| call.name == name) {
        Some(call) if call.needs == Needs::Absent => {
            Err(Status::unimplemented(format!("{name} is not supported")))
        }
        Some(_) => Ok(()),
        None => Err(Status::invalid_argument(format!(
            "there is no command or action {name:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls occur once; what is absent is refused with another word than what nobody knows.
    #[test]
    fn calls_are_known() {
        for call in CALLS {
            let same = CALLS.iter().filter(|other| other.name == call.name);
            assert_eq!(same.count(), 1, "{}", call.name);
        }
        let code = |name| check_action(name).err().map(|status| status.code());
        assert_eq!(code("CloseSession"), None);
        assert_eq!(code("BeginTransaction"), Some(tonic::Code::Unimplemented));
        assert_eq!(code("DropEverything"), Some(tonic::Code::InvalidArgument));
    }
}
