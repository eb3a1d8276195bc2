//! The command_status of a response: its name, and what it means for whoever sent.

use std::fmt;

/// A command_status (SMPP 3.4, 5.1.3): 0 is success, everything else an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandStatus(pub u32);

/// What a status says about a message that was refused with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another try would end the same.
    Final,
    /// Too fast; the whole session has to pause.
    Throttled,
    /// Not now.
    Later,
}

impl CommandStatus {
    /// Success.
    pub const ROK: CommandStatus = CommandStatus(0x00);
    pub(crate) const RINVMSGLEN: CommandStatus = CommandStatus(0x01);
    pub(crate) const RINVCMDLEN: CommandStatus = CommandStatus(0x02);
    pub(crate) const RINVCMDID: CommandStatus = CommandStatus(0x03);
    pub(crate) const RX_T_APPN: CommandStatus = CommandStatus(0x64);
    pub(crate) const RX_P_APPN: CommandStatus = CommandStatus(0x65);

    /// The name, as the specification spells it; `None` for one of an operator's own.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(status, _)| *status == self.0).map(|(_, name)| *name)
    }

    pub(crate) fn verdict(self) -> Verdict {
        match self.0 {
            // ESME_RTHROTTLED
            0x58 => Verdict::Throttled,
            // ESME_RINVBNDSTS (the session is not what it was), RSYSERR, RMSGQFUL, RX_T_APPN
            0x04 | 0x08 | 0x14 | 0x64 => Verdict::Later,
            _ => Verdict::Final,
        }
    }

    /// Whether a bind that is refused with this will be refused until somebody changes the configuration:
    /// ESME_RBINDFAIL, RINVPASWD, RINVSYSID, RINVSYSTYP.
    pub(crate) fn blames_credentials(self) -> bool {
        matches!(self.0, 0x0D | 0x0E | 0x0F | 0x53)
    }
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "command_status 0x{:08X}", self.0),
        }
    }
}

/// SMPP 3.4, table 5-2.
const NAMES: &[(u32, &str)] = &[
    (0x00, "ESME_ROK"),
    (0x01, "ESME_RINVMSGLEN"),
    (0x02, "ESME_RINVCMDLEN"),
    (0x03, "ESME_RINVCMDID"),
    (0x04, "ESME_RINVBNDSTS"),
    (0x05, "ESME_RALYBND"),
    (0x06, "ESME_RINVPRTFLG"),
    (0x07, "ESME_RINVREGDLVFLG"),
    (0x08, "ESME_RSYSERR"),
    (0x0A, "ESME_RINVSRCADR"),
    (0x0B, "ESME_RINVDSTADR"),
    (0x0C, "ESME_RINVMSGID"),
    (0x0D, "ESME_RBINDFAIL"),
    (0x0E, "ESME_RINVPASWD"),
    (0x0F, "ESME_RINVSYSID"),
    (0x11, "ESME_RCANCELFAIL"),
    (0x13, "ESME_RREPLACEFAIL"),
    (0x14, "ESME_RMSGQFUL"),
    (0x15, "ESME_RINVSERTYP"),
    (0x33, "ESME_RINVNUMDESTS"),
    (0x34, "ESME_RINVDLNAME"),
    (0x40, "ESME_RINVDESTFLAG"),
    (0x42, "ESME_RINVSUBREP"),
    (0x43, "ESME_RINVESMCLASS"),
    (0x44, "ESME_RCNTSUBDL"),
    (0x45, "ESME_RSUBMITFAIL"),
    (0x48, "ESME_RINVSRCTON"),
    (0x49, "ESME_RINVSRCNPI"),
    (0x50, "ESME_RINVDSTTON"),
    (0x51, "ESME_RINVDSTNPI"),
    (0x53, "ESME_RINVSYSTYP"),
    (0x54, "ESME_RINVREPFLAG"),
    (0x55, "ESME_RINVNUMMSGS"),
    (0x58, "ESME_RTHROTTLED"),
    (0x61, "ESME_RINVSCHED"),
    (0x62, "ESME_RINVEXPIRY"),
    (0x63, "ESME_RINVDFTMSGID"),
    (0x64, "ESME_RX_T_APPN"),
    (0x65, "ESME_RX_P_APPN"),
    (0x66, "ESME_RX_R_APPN"),
    (0x67, "ESME_RQUERYFAIL"),
    (0xC0, "ESME_RINVOPTPARSTREAM"),
    (0xC1, "ESME_ROPTPARNOTALLWD"),
    (0xC2, "ESME_RINVPARLEN"),
    (0xC3, "ESME_RMISSINGOPTPARAM"),
    (0xC4, "ESME_RINVOPTPARAMVAL"),
    (0xFE, "ESME_RDELIVERYFAILURE"),
    (0xFF, "ESME_RUNKNOWNERR"),
];
