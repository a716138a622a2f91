//! Random keys, actions and entries: `proptest::arbitrary::Arbitrary` for the types of every table, so that a property over all entries
//! covers a new table as soon as it is in the P4Info.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::generate::{camel, key_type, needs_priority, type_of};
use crate::schema::{Action, Feature, Table};

/// `Arbitrary` for a type, by the strategy that makes it.
fn arbitrary(name: &Ident, strategy: &TokenStream) -> TokenStream {
    quote! {
        impl Arbitrary for #name {
            type Parameters = ();
            type Strategy = BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy { #strategy.boxed() }
        }
    }
}

/// A strategy for a value of several fields: name and strategy of each, and what to build from the names.
fn fields(fields: &[(Ident, TokenStream)], build: &TokenStream) -> TokenStream {
    let names = fields.iter().map(|(name, _)| name);
    let strategies = fields.iter().map(|(_, strategy)| strategy);
    quote!((#(#strategies,)*).prop_map(|(#(#names,)*)| #build))
}

fn key(table: &Table) -> TokenStream {
    let mut parts: Vec<_> = table
        .keys
        .iter()
        .map(|(field, matching)| {
            let kind = key_type(field, *matching);
            (format_ident!("{}", field.name), quote!(any::<#kind>()))
        })
        .collect();
    if needs_priority(table) {
        parts.push((format_ident!("priority"), quote!(any::<Priority>())));
    }
    let name = format_ident!("{}Key", camel(&table.name));
    let names: Vec<_> = parts.iter().map(|(name, _)| name).collect();
    arbitrary(&name, &fields(&parts, &quote!(#name { #(#names),* })))
}

fn variant(of: &Ident, action: &Action) -> TokenStream {
    let variant = camel(&action.name);
    if action.params.is_empty() {
        return quote!(Just(#of::#variant));
    }
    let parts: Vec<_> = action
        .params
        .iter()
        .map(|param| {
            let kind = type_of(param);
            (format_ident!("{}", param.name), quote!(any::<#kind>()))
        })
        .collect();
    let names = parts.iter().map(|(name, _)| name);
    fields(&parts, &quote!(#of::#variant { #(#names),* }))
}

fn action(table: &Table) -> TokenStream {
    let name = format_ident!("{}Action", camel(&table.name));
    let variants = table.actions.iter().map(|action| variant(&name, action));
    arbitrary(&name, &quote!(prop_oneof![#(#variants),*]))
}

fn entry(table: &Table) -> TokenStream {
    let base = camel(&table.name);
    let (name, key, action) = (format_ident!("{base}Entry"), format_ident!("{base}Key"), format_ident!("{base}Action"));
    let action = if table.has(Feature::Selector) { quote!(Choice<#action>) } else { quote!(#action) };
    let mut parts = vec![(format_ident!("key"), quote!(any::<#key>())), (format_ident!("action"), quote!(any::<#action>()))];
    if table.is_metered() {
        parts.push((format_ident!("meter"), quote!(any::<Option<MeterConfig>>())));
    }
    if table.has(Feature::IdleTimeout) {
        parts.push((format_ident!("idle_timeout"), quote!(idle_timeout())));
    }
    let names: Vec<_> = parts.iter().map(|(name, _)| name).collect();
    arbitrary(&name, &fields(&parts, &quote!(#name { #(#names),* })))
}

/// The whole of `arbitrary.rs`.
pub(crate) fn arbitraries(tables: &[Table]) -> TokenStream {
    let keys = tables.iter().map(key);
    let actions = tables.iter().map(action);
    let entries = tables.iter().map(entry);
    let names = tables.iter().map(|table| format_ident!("{}Entry", camel(&table.name)));
    let any_entry = arbitrary(&format_ident!("Entry"), &quote!(Union::new([#(any::<#names>().prop_map(Entry::from).boxed()),*])));
    quote!(#(#keys)* #(#actions)* #(#entries)* #any_entry)
}
