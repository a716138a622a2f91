//! Every model, in every order; all together they take less than a minute.

use svpn_models::models::{counting, lookups, standstill};

/// A test for each model of a module.
macro_rules! models {
    ($($module:ident: $($name:ident),+;)+) => {
        $($(
            #[test]
            fn $name() {
                $module::$name();
            }
        )+)+
    };
}

models! {
    standstill:
        a_published_value_lives_as_long_as_it_is_read,
        updates_behind_the_gate_are_seen_all_at_once,
        a_grace_period_waits_for_everybody,
        who_is_back_is_waited_for;
    counting:
        a_packed_counter_is_exact_at_every_moment,
        a_bucket_gives_what_it_has,
        labels_are_counted_by_each_worker;
    lookups:
        a_flow_that_is_moved_is_found,
        a_place_is_of_one_flow_at_a_time,
        a_flow_leads_to_a_session_that_is_there,
        a_key_of_five_words_is_found_while_others_move,
        both_labels_of_an_action_are_of_one_change,
        a_chain_leads_on_while_entries_go,
        a_member_stays_until_nobody_has_chosen_it,
        a_route_stays_while_others_come_and_go;
}
