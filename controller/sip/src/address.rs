//! Addresses of record: `sip:<application>@<vpn>.<provider domain>`, or `sip:<application>@<provider domain>` where the VPN is left out.

use std::net::IpAddr;

use svpn_vpn::request::VpnName;

use crate::stack::sip::{Host, Uri};

/// The names that mean this gateway.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    name: String,
    own: Vec<IpAddr>,
}

/// An application as an address names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplicationAddress {
    /// The user part.
    pub(crate) name: String,
    /// The VPN, unless it was left out.
    pub(crate) vpn: Option<VpnName>,
}

/// What the host part of an address names.
pub(crate) enum Place {
    /// The provider itself.
    Provider,
    /// One of its VPNs.
    Vpn(VpnName),
    /// Nothing of the provider's.
    Elsewhere,
}

/// Why an address names no application of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("`{0}` names no application; write sip:<application>@<vpn>.{1}")]
    NoUser(String, String),
    #[error("`{0}` is not in the domain {1}")]
    Foreign(String, String),
}

impl Domain {
    /// `own` are the gateway's addresses: a plain SIP program that knows only them may use them in place of the domain.
    pub(crate) fn new(name: &str, own: Vec<IpAddr>) -> Self {
        Self { name: name.to_ascii_lowercase(), own }
    }

    /// The provider's domain.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reads an address of record.
    pub(crate) fn application(&self, uri: &Uri) -> Result<ApplicationAddress, AddressError> {
        let vpn = match self.place(uri) {
            Place::Provider => None,
            Place::Vpn(vpn) => Some(vpn),
            Place::Elsewhere => return Err(AddressError::Foreign(uri.host().to_string(), self.name.clone())),
        };
        match uri.user() {
            Some(name) if !name.is_empty() => Ok(ApplicationAddress { name: name.to_owned(), vpn }),
            _ => Err(AddressError::NoUser(uri.to_string(), self.name.clone())),
        }
    }

    /// The realm in which whoever has this address signs in.
    pub(crate) fn realm(&self, address: &ApplicationAddress) -> String {
        match &address.vpn {
            Some(vpn) => format!("{}.{}", vpn.0, self.name),
            None => self.name.clone(),
        }
    }

    /// What the host part names.
    fn place(&self, uri: &Uri) -> Place {
        match uri.host() {
            Host::IpAddr(address) if self.own.contains(address) => Place::Provider,
            Host::IpAddr(_) => Place::Elsewhere,
            Host::Domain(domain) => place_in(&domain.0, &self.name),
        }
    }
}

/// What a host names, seen from a provider's domain.
pub(crate) fn place_in(host: &str, provider: &str) -> Place {
    let (host, provider) = (host.to_ascii_lowercase(), provider.to_ascii_lowercase());
    if host == provider {
        return Place::Provider;
    }
    match host.strip_suffix(&provider).and_then(|host| host.strip_suffix('.')) {
        Some(vpn) if !vpn.is_empty() => Place::Vpn(VpnName(vpn.to_owned())),
        _ => Place::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(uri: &str) -> Result<ApplicationAddress, AddressError> {
        let domain = Domain::new("Provider.example", vec![IpAddr::from([10, 255, 0, 1])]);
        domain.application(&Uri::try_from(uri).unwrap())
    }

    fn address(name: &str, vpn: Option<&str>) -> ApplicationAddress {
        ApplicationAddress { name: name.to_owned(), vpn: vpn.map(|vpn| VpnName(vpn.to_owned())) }
    }

    #[test]
    fn the_vpn_may_be_named_or_left_out() {
        assert_eq!(read("sip:storage@vpn-a.provider.example"), Ok(address("storage", Some("vpn-a"))));
        assert_eq!(read("sip:storage@VPN-A.PROVIDER.example:5060;transport=tcp"), Ok(address("storage", Some("vpn-a"))));
        assert_eq!(read("sip:storage@provider.example"), Ok(address("storage", None)));
        assert_eq!(read("sip:storage@10.255.0.1:5060"), Ok(address("storage", None)));
    }

    #[test]
    fn foreign_and_empty_addresses_are_refused() {
        for uri in ["sip:storage@example.com", "sip:storage@notprovider.example", "sip:storage@.provider.example", "sip:storage@10.255.0.2"]
        {
            assert!(matches!(read(uri), Err(AddressError::Foreign(..))), "{uri}");
        }
        assert!(matches!(read("sip:provider.example"), Err(AddressError::NoUser(..))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-z][a-z0-9-]{0,12}", vpn in proptest::option::of("[a-z][a-z0-9-]{0,8}")) {
            let host = vpn.as_ref().map_or_else(|| "provider.example".to_owned(), |vpn| format!("{vpn}.provider.example"));
            prop_assert_eq!(read(&format!("sip:{name}@{host}")), Ok(address(&name, vpn.as_deref())));
        }
    }
}
