//! Writes how entries read as text: `session session=1 -> carry tunnel=1 vpn_label=16 class=5 cir=6250000`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::generate::{camel, needs_priority};
use crate::schema::{Feature, Table};

fn key(table: &Table) -> TokenStream {
    let key = format_ident!("{}Key", camel(&table.name));
    let table_name = &table.name;
    let fields = table.keys.iter().map(|(field, _)| {
        let (ident, text) = (format_ident!("{}", field.name), format!(" {}={{}}", field.name));
        quote!(write!(f, #text, self.#ident)?;)
    });
    let priority = if needs_priority(table) { quote!(write!(f, " priority={}", self.priority.get())?;) } else { quote!() };
    quote! {
        impl fmt::Display for #key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(#table_name)?;
                #(#fields)*
                #priority
                Ok(())
            }
        }
    }
}

fn action(table: &Table) -> TokenStream {
    let name = format_ident!("{}Action", camel(&table.name));
    let variants = table.actions.iter().map(|action| {
        let (variant, text) = (camel(&action.name), &action.name);
        let idents: Vec<_> = action.params.iter().map(|param| format_ident!("{}", param.name)).collect();
        let texts = action.params.iter().map(|param| format!(" {}={{}}", param.name));
        quote!(Self::#variant { #(#idents),* } => {
            f.write_str(#text)?;
            #(write!(f, #texts, #idents)?;)*
        })
    });
    quote! {
        impl fmt::Display for #name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { #(#variants)* }
                Ok(())
            }
        }
    }
}

fn entry(table: &Table) -> TokenStream {
    let name = format_ident!("{}Entry", camel(&table.name));
    let meter = if table.is_metered() {
        quote!(if let Some(meter) = self.meter {
            write!(f, " {meter}")?;
        })
    } else {
        quote!()
    };
    let idle = if table.has(Feature::IdleTimeout) {
        quote!(if let Some(timeout) = self.idle_timeout {
            write!(f, " idle_timeout={timeout:?}")?;
        })
    } else {
        quote!()
    };
    quote! {
        impl fmt::Display for #name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} -> {}", self.key, self.action)?;
                #meter
                #idle
                Ok(())
            }
        }
    }
}

/// `Display` of every key, action and entry.
pub(crate) fn tables(tables: &[Table]) -> TokenStream {
    let keys = tables.iter().map(key);
    let actions = tables.iter().map(action);
    let entries = tables.iter().map(entry);
    let base: Vec<_> = tables.iter().map(|table| camel(&table.name)).collect();
    quote! {
        #(#keys)* #(#actions)* #(#entries)*

        impl fmt::Display for Entry {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { #(Self::#base(entry) => fmt::Display::fmt(entry, f)),* }
            }
        }

        impl fmt::Display for EntryKey {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { #(Self::#base(key) => fmt::Display::fmt(key, f)),* }
            }
        }
    }
}
