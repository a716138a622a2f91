//! Why a P4Runtime message is no entry of the contract.

/// Why bytes are no value of their field (P4Runtime specification, "Bytestrings").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Every value has at least one byte.
    #[error("is empty: zero is one zero byte")]
    Empty,
    /// More bits than the field has.
    #[error("does not fit {bits} bits")]
    TooWide {
        /// The field's width.
        bits: u32,
    },
    /// A number that is no member of the field's enum.
    #[error("is {number}, which has no name")]
    Unnamed {
        /// What was given.
        number: u128,
    },
    /// A prefix longer than the field.
    #[error("has prefix length {length} where {bits} bits are possible")]
    PrefixLength {
        /// What was given.
        length: i32,
        /// The field's width.
        bits: u32,
    },
    /// A value with bits that its mask or prefix leaves out.
    #[error("has bits set outside its mask")]
    OutsideMask,
    /// A match that matches everything must be left out.
    #[error("matches everything: leave the field out instead")]
    DontCare,
    /// A range that ends before it begins.
    #[error("is an empty range")]
    EmptyRange,
}

/// Why a table entry is none of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No table has this id.
    #[error("there is no table {id:#010x}")]
    UnknownTable {
        /// What was given.
        id: u32,
    },
    /// The table has no such key field.
    #[error("table {table} has no match field {id}")]
    UnknownField {
        /// The table.
        table: &'static str,
        /// The field.
        id: u32,
    },
    /// The same key field twice.
    #[error("table {table}: match field {id} is given twice")]
    DuplicateField {
        /// The table.
        table: &'static str,
        /// The field.
        id: u32,
    },
    /// An exact key field was left out.
    #[error("table {table}: match field {field} is missing")]
    MissingField {
        /// The table.
        table: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A key field is matched in another way.
    #[error("table {table}: match field {field} is matched {expected}")]
    WrongMatch {
        /// The table.
        table: &'static str,
        /// The field.
        field: &'static str,
        /// How it is matched: exact, lpm, ternary or range.
        expected: &'static str,
    },
    /// A key field's value is bad.
    #[error("table {table}: match field {field} {source}")]
    BadField {
        /// The table.
        table: &'static str,
        /// The field.
        field: &'static str,
        /// Why.
        source: ValueError,
    },
    /// A ternary or range table needs a priority of at least 1.
    #[error("table {table}: an entry needs a priority of 1 or more, not {priority}")]
    PriorityNeeded {
        /// The table.
        table: &'static str,
        /// What was given.
        priority: i32,
    },
    /// An exact or longest-prefix table takes no priority.
    #[error("table {table} takes no priority")]
    PriorityForbidden {
        /// The table.
        table: &'static str,
    },
    /// No action.
    #[error("table {table}: the entry has no action")]
    NoAction {
        /// The table.
        table: &'static str,
    },
    /// The action is not one of the table's.
    #[error("table {table} has no action {id:#010x}")]
    UnknownAction {
        /// The table.
        table: &'static str,
        /// The action.
        id: u32,
    },
    /// The action has no such parameter, or it is given twice.
    #[error("table {table}: parameter {id} of action {action:#010x} is unknown or given twice")]
    UnknownParam {
        /// The table.
        table: &'static str,
        /// The action.
        action: u32,
        /// The parameter.
        id: u32,
    },
    /// A parameter was left out.
    #[error("table {table}: parameter {param} is missing")]
    MissingParam {
        /// The table.
        table: &'static str,
        /// The parameter.
        param: &'static str,
    },
    /// A parameter's value is bad.
    #[error("table {table}: parameter {param} {source}")]
    BadParam {
        /// The table.
        table: &'static str,
        /// The parameter.
        param: &'static str,
        /// Why.
        source: ValueError,
    },
    /// A table takes either an action or an action set, never a member or group by number.
    #[error("table {table} takes {expected}")]
    WrongActionKind {
        /// The table.
        table: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// An action set without members.
    #[error("table {table}: the action set is empty")]
    EmptyActionSet {
        /// The table.
        table: &'static str,
    },
    /// An action set says more than which members it has.
    #[error("table {table}: {field} of the action set must be left out")]
    ActionSetOption {
        /// The table.
        table: &'static str,
        /// `group_action`, `action_selection_mode` or `size_semantics`.
        field: &'static str,
    },
    /// A member's weight must be at least 1.
    #[error("table {table}: member {member} of the action set has weight {weight}")]
    BadWeight {
        /// The table.
        table: &'static str,
        /// The member's index.
        member: usize,
        /// What was given.
        weight: i32,
    },
    /// A member's watch port is no port.
    #[error("table {table}: the watch port of member {member} of the action set {source}")]
    BadWatchPort {
        /// The table.
        table: &'static str,
        /// The member's index.
        member: usize,
        /// Why.
        source: ValueError,
    },
    /// A negative rate or burst, a peak below the committed rate (RFC 2698), or an excess burst (RFC 2697).
    #[error("table {table}: the meter's {field} is {value}")]
    BadMeter {
        /// The table.
        table: &'static str,
        /// `cir`, `cburst`, `pir`, `pburst` or `eburst`.
        field: &'static str,
        /// What was given.
        value: i64,
    },
    /// The table has no meter.
    #[error("table {table} has no meter")]
    MeterForbidden {
        /// The table.
        table: &'static str,
    },
    /// The table has no idle time-out, or a negative one was given.
    #[error("table {table} takes no idle time-out of {nanoseconds} ns")]
    IdleTimeoutForbidden {
        /// The table.
        table: &'static str,
        /// What was given.
        nanoseconds: i64,
    },
}
