//! Sizes by the names of tables.

use super::TableSizes;

impl TableSizes {
    /// The size of a table, by its name; `None` for one whose size cannot be chosen, or that is none.
    pub fn get_mut(&mut self, table: &str) -> Option<&mut u32> {
        Some(match table {
            "attachment" => &mut self.attachment,
            "station" => &mut self.station,
            "arp_responder" => &mut self.arp_responder,
            "flow_v4" => &mut self.flow_v4,
            "flow_acl_v4" => &mut self.flow_acl_v4,
            "flow_v6" => &mut self.flow_v6,
            "flow_acl_v6" => &mut self.flow_acl_v6,
            "session" => &mut self.session,
            "route_v4" => &mut self.route_v4,
            "route_v6" => &mut self.route_v6,
            "tunnel" => &mut self.tunnel,
            "ilm" => &mut self.ilm,
            "nexthop" => &mut self.nexthop,
            "gre_ingress_v4" => &mut self.gre_ingress_v4,
            "gre_ingress_v6" => &mut self.gre_ingress_v6,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use svpn_contract::TABLES;

    use super::*;

    #[test]
    fn sizes_are_found_by_name_and_are_the_contracts_until_changed() {
        let mut sizes = TableSizes::default();
        for table in TABLES {
            if let Some(size) = sizes.get_mut(table.name) {
                assert_eq!(u64::from(*size), table.size, "{}", table.name);
            }
        }
        assert_eq!(sizes.get_mut("no_such_table"), None);
        assert_eq!(sizes.get_mut("marking"), None);
        *sizes.get_mut("session").unwrap() = 17;
        assert_eq!(sizes, TableSizes { session: 17, ..TableSizes::default() });
    }
}
