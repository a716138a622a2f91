//! P4Runtime client: mastership, desired against actual state.
