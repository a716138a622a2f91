//! Writes the Rust of a schema.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::schema::{Action, Feature, Field, Matching, Named, Schema, Table};

pub(crate) fn camel(name: &str) -> Ident {
    let text: String = name
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect())
        })
        .collect();
    format_ident!("{text}")
}

fn upper(name: &str) -> Ident {
    format_ident!("{}", name.to_uppercase())
}

pub(crate) fn type_of(field: &Field) -> Ident {
    format_ident!("{}", field.rust)
}

pub(crate) fn key_type(field: &Field, matching: Matching) -> TokenStream {
    let value = type_of(field);
    match matching {
        Matching::Exact => quote!(#value),
        Matching::Lpm => quote!(Prefix<#value>),
        Matching::Ternary => quote!(Ternary<#value>),
        Matching::Range => quote!(Range<#value>),
    }
}

pub(crate) fn needs_priority(table: &Table) -> bool {
    table.keys.iter().any(|(_, matching)| matches!(matching, Matching::Ternary | Matching::Range))
}

/// The key struct of a table and its codec.
fn key(table: &Table) -> TokenStream {
    let name = format_ident!("{}Key", camel(&table.name));
    let doc = format!("The key of table `{}`.", table.name);
    let table_name = &table.name;
    let mut fields = Vec::new();
    let mut decode = Vec::new();
    let mut encode = Vec::new();
    for (field, matching) in &table.keys {
        let ident = format_ident!("{}", field.name);
        let kind = key_type(field, *matching);
        let field_doc = format!("`{}`, {} bits, {matching:?} match.", field.name, field.bits);
        let (id, field_name) = (field.id, &field.name);
        fields.push(quote!(#[doc = #field_doc] pub #ident: #kind));
        decode.push(quote!(#ident: reader.take(#id, #field_name)?));
        encode.push(quote!(writer.put(#id, &self.#ident);));
    }
    let (priority_field, priority_decode, priority_encode) = if needs_priority(table) {
        (
            quote!(/** Of the entries that match, the one with the highest priority wins. */ pub priority: Priority,),
            quote!(priority: reader.priority()?,),
            quote!(self.priority.get()),
        )
    } else {
        (quote!(), quote!(), quote!(0))
    };
    let forbid_priority = if needs_priority(table) { quote!() } else { quote!(reader.no_priority()?;) };
    quote! {
        #[doc = #doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct #name { #(#fields,)* #priority_field }

        impl #name {
            fn decode(entry: &proto::TableEntry) -> Result<Self, DecodeError> {
                let mut reader = MatchReader::new(#table_name, entry)?;
                #forbid_priority
                let key = Self { #(#decode,)* #priority_decode };
                reader.finish()?;
                Ok(key)
            }

            fn encode(&self) -> proto::TableEntry {
                let mut writer = MatchWriter::default();
                #(#encode)*
                proto::TableEntry { table_id: Self::TABLE_ID, r#match: writer.finish(), priority: #priority_encode, ..Default::default() }
            }
        }
    }
}

fn variant(action: &Action) -> TokenStream {
    let name = camel(&action.name);
    let doc = format!("`{}`", action.name);
    if action.params.is_empty() {
        return quote!(#[doc = #doc] #name);
    }
    let params = action.params.iter().map(|param| {
        let ident = format_ident!("{}", param.name);
        let kind = type_of(param);
        let doc = format!("`{}`, {} bits.", param.name, param.bits);
        quote!(#[doc = #doc] #ident: #kind)
    });
    quote!(#[doc = #doc] #name { #(#params),* })
}

/// The action enum of a table and its codec.
fn action(table: &Table) -> TokenStream {
    let name = format_ident!("{}Action", camel(&table.name));
    let doc = format!("What an entry of table `{}` does.", table.name);
    let table_name = &table.name;
    let variants = table.actions.iter().map(variant);
    // Nothing is read where no action has parameters.
    let mutable = if table.actions.iter().all(|action| action.params.is_empty()) { quote!() } else { quote!(mut) };
    let decode = table.actions.iter().map(|action| {
        let (id, variant) = (action.id, camel(&action.name));
        let params = action.params.iter().map(|param| {
            let (ident, id, name) = (format_ident!("{}", param.name), param.id, &param.name);
            quote!(#ident: reader.take(#id, #name)?)
        });
        quote!(#id => Self::#variant { #(#params),* })
    });
    let encode = table.actions.iter().map(|action| {
        let (id, variant) = (action.id, camel(&action.name));
        let idents: Vec<_> = action.params.iter().map(|param| format_ident!("{}", param.name)).collect();
        let ids = action.params.iter().map(|param| param.id);
        quote!(Self::#variant { #(#idents),* } => encode_action(#id, vec![#((#ids, #idents.to_bytes())),*]))
    });
    quote! {
        #[doc = #doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum #name { #(#variants),* }

        impl ActionCodec for #name {
            fn decode(action: &proto::Action) -> Result<Self, DecodeError> {
                let #mutable reader = ParamReader::new(#table_name, action)?;
                let decoded = match action.action_id {
                    #(#decode,)*
                    id => return Err(DecodeError::UnknownAction { table: #table_name, id }),
                };
                reader.finish()?;
                Ok(decoded)
            }

            fn encode(&self) -> proto::Action {
                match self { #(#encode),* }
            }
        }
    }
}

/// The entry struct of a table and its codec.
fn entry(table: &Table) -> TokenStream {
    let base = camel(&table.name);
    let (name, key, action) = (format_ident!("{base}Entry"), format_ident!("{base}Key"), format_ident!("{base}Action"));
    let doc = format!("An entry of table `{}`.", table.name);
    let (table_name, id) = (&table.name, table.id);
    let action_type = if table.has(Feature::Selector) { quote!(Choice<#action>) } else { quote!(#action) };
    let (mut fields, mut decode, mut encode) = (Vec::new(), Vec::new(), Vec::new());
    if table.is_metered() {
        fields.push(quote!(/** What polices it; without, everything is green. */ pub meter: Option<MeterConfig>));
        decode.push(quote!(meter: decode_meter(#table_name, entry)?));
        encode.push(quote!(entry.meter_config = self.meter.map(MeterConfig::encode);));
    } else {
        decode.push(quote!());
    }
    if table.has(Feature::IdleTimeout) {
        fields.push(quote!(/** After how long without a packet the controller is told. */ pub idle_timeout: Option<Duration>));
        decode.push(quote!(idle_timeout: decode_idle_timeout(#table_name, entry)?));
        encode.push(quote!(entry.idle_timeout_ns = encode_idle_timeout(self.idle_timeout);));
    }
    let decode = decode.into_iter().filter(|tokens| !tokens.is_empty());
    let forbid_meter = if table.is_metered() { quote!() } else { quote!(forbid_meter(#table_name, entry)?;) };
    let forbid_idle = if table.has(Feature::IdleTimeout) { quote!() } else { quote!(forbid_idle_timeout(#table_name, entry)?;) };
    quote! {
        #[doc = #doc]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct #name {
            /// What it matches.
            pub key: #key,
            /// What it does.
            pub action: #action_type,
            #(#fields,)*
        }

        impl #key {
            /// The id of the table.
            pub const TABLE_ID: u32 = #id;
        }

        impl #name {
            fn decode(entry: &proto::TableEntry) -> Result<Self, DecodeError> {
                #forbid_meter
                #forbid_idle
                Ok(Self {
                    key: #key::decode(entry)?,
                    action: ActionField::decode(#table_name, entry.action.as_ref())?,
                    #(#decode,)*
                })
            }

            fn encode(&self) -> proto::TableEntry {
                #[allow(unused_mut, reason = "only some tables have more than key and action")]
                let mut entry = proto::TableEntry { action: Some(ActionField::encode(&self.action)), ..self.key.encode() };
                #(#encode)*
                entry
            }
        }

        impl From<#name> for Entry {
            fn from(entry: #name) -> Self { Self::#base(entry) }
        }

        impl From<#key> for EntryKey {
            fn from(key: #key) -> Self { Self::#base(key) }
        }
    }
}

/// The enums over all tables.
fn unions(tables: &[Table]) -> TokenStream {
    let base: Vec<_> = tables.iter().map(|table| camel(&table.name)).collect();
    let entries: Vec<_> = base.iter().map(|base| format_ident!("{base}Entry")).collect();
    let keys: Vec<_> = base.iter().map(|base| format_ident!("{base}Key")).collect();
    let docs: Vec<_> = tables.iter().map(|table| format!("Of table `{}`.", table.name)).collect();
    quote! {
        /// An entry of any table.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Entry { #(#[doc = #docs] #base(#entries)),* }

        /// What names an entry: its table, match and priority.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntryKey { #(#[doc = #docs] #base(#keys)),* }

        impl Entry {
            /// What names it.
            pub fn key(&self) -> EntryKey {
                match self { #(Self::#base(entry) => EntryKey::#base(entry.key)),* }
            }

            /// As a P4Runtime message.
            pub fn encode(&self) -> proto::TableEntry {
                match self { #(Self::#base(entry) => entry.encode()),* }
            }

            /// From a P4Runtime message.
            ///
            /// # Errors
            /// [`DecodeError`] says which table and field, and why.
            pub fn decode(entry: &proto::TableEntry) -> Result<Self, DecodeError> {
                match entry.table_id {
                    #(#keys::TABLE_ID => #entries::decode(entry).map(Self::#base),)*
                    id => Err(DecodeError::UnknownTable { id }),
                }
            }
        }

        impl EntryKey {
            /// The id of its table.
            pub const fn table_id(&self) -> u32 {
                match self { #(Self::#base(_) => #keys::TABLE_ID),* }
            }

            /// As a P4Runtime message without an action.
            pub fn encode(&self) -> proto::TableEntry {
                match self { #(Self::#base(key) => key.encode()),* }
            }

            /// From a P4Runtime message; an action in it is not looked at.
            ///
            /// # Errors
            /// [`DecodeError`] says which table and field, and why.
            pub fn decode(entry: &proto::TableEntry) -> Result<Self, DecodeError> {
                match entry.table_id {
                    #(#keys::TABLE_ID => #keys::decode(entry).map(Self::#base),)*
                    id => Err(DecodeError::UnknownTable { id }),
                }
            }
        }
    }
}

fn constants(module: &str, doc: &str, objects: &[Named]) -> TokenStream {
    let module = format_ident!("{module}");
    let names = objects.iter().map(|object| upper(&object.name));
    let docs = objects.iter().map(|object| format!("`{}`", object.name));
    let ids = objects.iter().map(|object| object.id);
    quote!(#[doc = #doc] pub mod #module { #(#[doc = #docs] pub const #names: u32 = #ids;)* })
}

fn table_facts(tables: &[Table]) -> TokenStream {
    let facts = tables.iter().map(|table| {
        let (id, name, size) = (table.id, &table.name, table.size);
        let counter = if table.has(Feature::Counter) { quote!(Counting::Direct) } else { quote!(Counting::None) };
        let meter = match (table.has(Feature::ByteMeter), table.has(Feature::PacketMeter)) {
            (true, _) => quote!(Metering::Bytes),
            (false, true) => quote!(Metering::Packets),
            (false, false) => quote!(Metering::None),
        };
        quote!(TableFacts { id: #id, name: #name, size: #size, counting: #counter, metering: #meter })
    });
    quote! {
        /// Every table of the contract.
        pub const TABLES: &[TableFacts] = &[#(#facts),*];
    }
}

fn counter_sizes(counters: &[Named]) -> TokenStream {
    let names = counters.iter().map(|counter| format_ident!("{}_SIZE", counter.name.to_uppercase()));
    let docs = counters.iter().map(|counter| format!("Cells of `{}`.", counter.name));
    let sizes = counters.iter().map(|counter| counter.size);
    quote!(#(#[doc = #docs] pub const #names: u64 = #sizes;)*)
}

fn packet_metadata(headers: &[(String, Vec<Field>)]) -> TokenStream {
    let modules = headers.iter().map(|(name, fields)| {
        let module = format_ident!("{name}");
        let doc = format!("Metadata ids of `{name}`.");
        let names = fields.iter().map(|field| upper(&field.name));
        let docs = fields.iter().map(|field| format!("`{}`, {} bits.", field.name, field.bits));
        let ids = fields.iter().map(|field| field.id);
        quote!(#[doc = #doc] pub mod #module { #(#[doc = #docs] pub const #names: u32 = #ids;)* })
    });
    quote!(#(#modules)*)
}

fn reasons(reasons: &[(String, u8)]) -> TokenStream {
    let names: Vec<_> = reasons.iter().map(|(name, _)| camel(name)).collect();
    let texts: Vec<_> = reasons.iter().map(|(name, _)| name.to_lowercase()).collect();
    let values: Vec<_> = reasons.iter().map(|(_, value)| *value).collect();
    let docs = reasons.iter().map(|(name, value)| format!("`{name}`, {value}."));
    quote! {
        /// Why a packet went to the controller or nowhere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason { #(#[doc = #docs] #names = #values),* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[#(Self::#names),*];

            /// Its name in lower case, as in metrics and logs.
            pub const fn name(self) -> &'static str {
                match self { #(Self::#names => #texts),* }
            }

            /// The reason of a number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { #(#values => Some(Self::#names),)* _ => None }
            }
        }
    }
}

/// The whole of `tables.rs`.
pub(crate) fn schema(schema: &Schema) -> TokenStream {
    let keys = schema.tables.iter().map(key);
    let actions = schema.tables.iter().map(action);
    let entries = schema.tables.iter().map(entry);
    let unions = unions(&schema.tables);
    let facts = table_facts(&schema.tables);
    let counters = constants("counter", "Ids of the indexed counters.", &schema.counters);
    let sizes = counter_sizes(&schema.counters);
    let direct_counters = constants("direct_counter", "Ids of the direct counters.", &schema.direct_counters);
    let direct_meters = constants("direct_meter", "Ids of the direct meters.", &schema.direct_meters);
    let profiles = constants("action_profile", "Ids of the action selectors.", &schema.action_profiles);
    let metadata = packet_metadata(&schema.packet_metadata);
    let reasons = reasons(&schema.reasons);
    let display = crate::display::tables(&schema.tables);
    quote! {
        #facts #counters #sizes #direct_counters #direct_meters #profiles #metadata #reasons
        #unions #(#keys)* #(#actions)* #(#entries)* #display
    }
}
