/* The ceilings on what is in no session: of a VRF, and on the way to the controller. */

@id(2) @name(".vrf_policer_meter") DIRECT_METER vrf_policer_meter;
@id(3) @name(".punt_policer_meter") DIRECT_PACKET_METER punt_policer_meter;

/* One action of both tables: an entry runs the meter attached to its table. */
#ifdef ONE_METER_AN_ACTION
@id(0x0100001b) @name(".police") action police_vrf() { METER_COLOUR(vrf_policer_meter, meta.colour) }
@id(0x0100001b) @name(".police") action police_punt() { METER_COLOUR(punt_policer_meter, meta.punt_colour) }
#else
@id(0x0100001b) @name(".police") action police() {
    METER_COLOUR(vrf_policer_meter, meta.colour)
    METER_COLOUR(punt_policer_meter, meta.punt_colour)
}
#define police_vrf police
#define police_punt police
#endif

@id(0x0200000f) @name(".vrf_policer") table vrf_policer_table {
    key = { meta.vrf : exact @id(1) @name("vrf"); }
    actions = { police_vrf; @defaultonly NoAction; }
    const default_action = NoAction();
    size = VRF_POLICERS;
    TABLE_METER(vrf_policer_meter)
}

@id(0x02000012) @name(".punt_policer") table punt_policer_table {
    key = { meta.reason : exact @id(1) @name("reason"); }
    actions = { police_punt; @defaultonly NoAction; }
    const default_action = NoAction();
    size = PUNT_POLICERS;
    TABLE_METER(punt_policer_meter)
}
