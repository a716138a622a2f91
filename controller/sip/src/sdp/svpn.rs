//! `a=svpn:class=<n>;priority=<n>;tunnel=<mpls or gre>;match=<ports, hosts or sites>;group=<name>;members=<n>`, in the session part or in one
//! medium.

use svpn_vpn::request::{Class, Match, TunnelType};

/// What is wrong with the attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SvpnError {
    #[error("`{0}` is not `name=value`")]
    Syntax(String),
    #[error("`{0}` is unknown; class, priority, tunnel, match, group and members are known")]
    Unknown(String),
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    #[error("`{0}` is no class from 0 to 7")]
    Class(String),
    #[error("`{0}` is no priority from 0 to 255")]
    Priority(String),
    #[error("`{0}` is no tunnel type; mpls and gre are")]
    Tunnel(String),
    #[error("`{0}` is no match; ports, hosts and sites are")]
    Match(String),
    #[error("a group's name has 16 to 64 letters, digits, `-`, `_` and `.`, and is to be one that nobody else can guess")]
    Group,
    #[error("`{0}` is no number of members from 2 to 16")]
    Members(String),
    #[error("group and members are given together or not at all")]
    HalfAGroup,
}

/// Sessions that are wanted all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupWish {
    /// What they all say.
    pub(crate) name: String,
    /// How many they are.
    pub(crate) members: u8,
}

/// What the attribute asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wishes {
    pub(crate) class: Option<Class>,
    pub(crate) priority: Option<u8>,
    pub(crate) tunnel: Option<TunnelType>,
    pub(crate) matching: Option<Match>,
    group: Option<String>,
    members: Option<u8>,
}

impl Wishes {
    /// Adds what one attribute's value says.
    pub(crate) fn add(&mut self, value: &str) -> Result<(), SvpnError> {
        for part in value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| SvpnError::Syntax(part.to_owned()))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "class" => set(&mut self.class, "class", class(value)?)?,
                "priority" => {
                    let priority = value.parse().map_err(|_| SvpnError::Priority(value.to_owned()))?;
                    set(&mut self.priority, "priority", priority)?;
                }
                "tunnel" => set(&mut self.tunnel, "tunnel", tunnel(value)?)?,
                "match" => set(&mut self.matching, "match", matching(value)?)?,
                "group" => set(&mut self.group, "group", group(value)?)?,
                "members" => set(&mut self.members, "members", members(value)?)?,
                _ => return Err(SvpnError::Unknown(name)),
            }
        }
        Ok(())
    }

    /// The group that the session is to be one of.
    pub(crate) fn group(&self) -> Result<Option<GroupWish>, SvpnError> {
        match (&self.group, self.members) {
            (None, None) => Ok(None),
            (Some(name), Some(members)) => Ok(Some(GroupWish { name: name.clone(), members })),
            _ => Err(SvpnError::HalfAGroup),
        }
    }
}

fn set<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), SvpnError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(SvpnError::Twice(name)),
    }
}

fn class(value: &str) -> Result<Class, SvpnError> {
    let wrong = || SvpnError::Class(value.to_owned());
    Class::new(value.parse().map_err(|_| wrong())?).map_err(|_| wrong())
}

fn tunnel(value: &str) -> Result<TunnelType, SvpnError> {
    match value.to_ascii_lowercase().as_str() {
        "mpls" => Ok(TunnelType::Mpls),
        "gre" => Ok(TunnelType::Gre),
        _ => Err(SvpnError::Tunnel(value.to_owned())),
    }
}

fn matching(value: &str) -> Result<Match, SvpnError> {
    match value.to_ascii_lowercase().as_str() {
        "ports" => Ok(Match::Ports),
        "hosts" => Ok(Match::Hosts),
        "sites" => Ok(Match::Sites),
        _ => Err(SvpnError::Match(value.to_owned())),
    }
}

/// It is all that the group is known by.
fn group(value: &str) -> Result<String, SvpnError> {
    let sound = (16..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if sound { Ok(value.to_owned()) } else { Err(SvpnError::Group) }
}

fn members(value: &str) -> Result<u8, SvpnError> {
    value.parse().ok().filter(|members| (2..=16).contains(members)).ok_or_else(|| SvpnError::Members(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Wishes, SvpnError> {
        let mut wishes = Wishes::default();
        wishes.add(value).map(|()| wishes)
    }

    #[test]
    fn everything_can_be_asked_for() {
        assert_eq!(
            read("class=5;priority=3; tunnel=GRE;match=hosts"),
            Ok(Wishes {
                class: Class::new(5).ok(),
                priority: Some(3),
                tunnel: Some(TunnelType::Gre),
                matching: Some(Match::Hosts),
                ..Wishes::default()
            })
        );
        let group = GroupWish { name: "0123456789abcdef".to_owned(), members: 2 };
        assert_eq!(read("group=0123456789abcdef;members=2").unwrap().group(), Ok(Some(group)));
        assert_eq!(read("class=5").unwrap().group(), Ok(None));
        assert_eq!(read("members=2").unwrap().group(), Err(SvpnError::HalfAGroup));
        assert_eq!(read(""), Ok(Wishes::default()));
    }

    #[test]
    fn each_mistake_is_named() {
        for (value, error) in [
            ("class", SvpnError::Syntax("class".to_owned())),
            ("klass=5", SvpnError::Unknown("klass".to_owned())),
            ("class=5;class=5", SvpnError::Twice("class")),
            ("class=8", SvpnError::Class("8".to_owned())),
            ("priority=256", SvpnError::Priority("256".to_owned())),
            ("tunnel=ipsec", SvpnError::Tunnel("ipsec".to_owned())),
            ("match=all", SvpnError::Match("all".to_owned())),
            ("group=short", SvpnError::Group),
            ("group=0123456789abcdef\"", SvpnError::Group),
            ("members=1", SvpnError::Members("1".to_owned())),
            ("members=17", SvpnError::Members("17".to_owned())),
        ] {
            assert_eq!(read(value), Err(error));
        }
    }
}
