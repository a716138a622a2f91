/* The ceilings on what is in no session: of a VRF, and on the way to the controller. */

@id(0x15000002) @name(".vrf_policer_meter") DIRECT_METER vrf_policer_meter;
@id(0x15000003) @name(".punt_policer_meter") DIRECT_PACKET_METER punt_policer_meter;

/* One action of both tables: a table's entry runs the meter attached to that table. */
@id(0x0100001b) @name(".police") action police() {
    METER_COLOUR(vrf_policer_meter, meta.colour)
    METER_COLOUR(punt_policer_meter, meta.punt_colour)
}

@id(0x0200000f) @name(".vrf_policer") table vrf_policer_table {
    key = { meta.vrf : exact @id(1) @name("vrf"); }
    actions = { police; @defaultonly NoAction; }
    const default_action = NoAction();
    size = VRF_POLICERS;
    TABLE_METER(vrf_policer_meter)
}

@id(0x02000012) @name(".punt_policer") table punt_policer_table {
    key = { meta.reason : exact @id(1) @name("reason"); }
    actions = { police; @defaultonly NoAction; }
    const default_action = NoAction();
    size = PUNT_POLICERS;
    TABLE_METER(punt_policer_meter)
}
