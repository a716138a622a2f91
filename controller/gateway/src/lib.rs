//! The S-VPN gateway: SIP server, admission control, P4Runtime controller.
