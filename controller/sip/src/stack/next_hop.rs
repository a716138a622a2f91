//! Where a request of ours goes.

use std::fmt;

use rsipstack::transport::SipConnection;
use svpn_vpn::request::ApplicationId;

use super::sip::Uri;

/// An address, and what is known of the way to it.
#[derive(Debug, Clone)]
pub(crate) struct NextHop {
    uri: Uri,
    /// Whose contact it is: the ways that this application has registered lead to it, and nobody else's.
    whose: Option<ApplicationId>,
    /// The connection that whoever is there came by.
    connection: Option<SipConnection>,
}

impl NextHop {
    /// An address that is reached as it says.
    pub(crate) fn new(uri: Uri) -> Self {
        Self { uri, whose: None, connection: None }
    }

    /// It is a contact of this application.
    pub(crate) fn of(self, whose: Option<ApplicationId>) -> Self {
        Self { whose, ..self }
    }

    /// It is reached by this connection as long as that is open.
    pub(crate) fn by(self, connection: Option<SipConnection>) -> Self {
        Self { connection, ..self }
    }

    /// The address.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whose contact it is, if that is known.
    pub(crate) fn whose(&self) -> Option<&ApplicationId> {
        self.whose.as_ref()
    }

    /// The connection, if there is one that is open.
    pub(crate) fn connection(&self) -> Option<&SipConnection> {
        self.connection.as_ref().filter(|connection| is_open(connection))
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// Whether something can still be sent by it.
pub(super) fn is_open(connection: &SipConnection) -> bool {
    connection.cancel_token().is_none_or(|token| !token.is_cancelled())
}
