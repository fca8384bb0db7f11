//! What may be written in the attributes.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Ident, LitStr, Token, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

use crate::{duration::Duration, template::Template};

/// What `cache` declares.
#[derive(Default)]
pub(crate) struct CacheArguments {
    ttl: Option<Duration>,
    swr: Option<Duration>,
    sie: Option<Duration>,
    pub(crate) tags: Vec<Template>,
    pub(crate) query: Option<(Ident, Vec<LitStr>)>,
    vary: Vec<LitStr>,
}

/// What `invalidates` declares.
pub(crate) struct InvalidatesArguments {
    pub(crate) tags: Vec<Template>,
}

impl Parse for CacheArguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut read = Self::default();
        let mut met: Vec<String> = Vec::new();
        if input.is_empty() {
            let message = "nothing is declared; write at least `ttl = \"5m\"`";
            return Err(syn::Error::new(Span::call_site(), message));
        }
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if met.contains(&key.to_string()) {
                let message = format!("`{key}` is written twice; keep one");
                return Err(syn::Error::new(key.span(), message));
            }
            met.push(key.to_string());
            read.setting(&key, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        read.check()?;
        Ok(read)
    }
}

impl CacheArguments {
    fn setting(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match key.to_string().as_str() {
            "ttl" => self.ttl = Some(duration(key, input)?),
            "swr" => self.swr = Some(duration(key, input)?),
            "sie" => self.sie = Some(duration(key, input)?),
            "tags" => self.tags = templates(list(key, input)?)?,
            "query" => {
                let names = list(key, input)?;
                for name in &names {
                    check_name("query parameter", name, |name| !name.is_empty())?;
                }
                self.query = Some((key.clone(), names));
            }
            "vary" => {
                self.vary = list(key, input)?;
                for name in &self.vary {
                    check_name("header", name, is_header_name)?;
                }
            }
            _ => {
                let message = format!(
                    "unknown key `{key}`; there are `ttl`, `swr`, `sie`, `tags`, `query`, `vary`"
                );
                return Err(syn::Error::new(key.span(), message));
            }
        }
        Ok(())
    }

    /// What `Policy::check` would refuse.
    fn check(&self) -> syn::Result<()> {
        let is = |duration: &Option<Duration>, zero: bool| {
            duration
                .as_ref()
                .is_some_and(|duration| (duration.millis == 0) == zero)
        };
        match &self.swr {
            Some(swr) if is(&self.ttl, true) && swr.millis > 0 => Err(syn::Error::new(
                swr.literal.span(),
                "`swr` with a `ttl` of zero would start a refresh with every request; set a `ttl` \
                 above zero, or leave `swr` out",
            )),
            _ => Ok(()),
        }
    }

    /// Returns an expression that makes the policy, with or without its tags.
    pub(crate) fn policy(&self, with_tags: bool) -> TokenStream {
        let setting = |duration: &Option<Duration>, setter: TokenStream| {
            duration.as_ref().map(|duration| {
                let millis = duration.millis;
                quote!(.#setter(::core::time::Duration::from_millis(#millis)))
            })
        };
        let start = match &self.ttl {
            Some(Duration { millis, .. }) => {
                quote!(::larder::Policy::ttl(::core::time::Duration::from_millis(#millis)))
            }
            None => quote!(::larder::Policy::new()),
        };
        let swr = setting(&self.swr, quote!(stale_while_revalidate));
        let sie = setting(&self.sie, quote!(stale_if_error));
        let tags = with_tags.then(|| self.tags.iter().map(|tag| &tag.literal));
        let tags = tags.into_iter().flatten();
        let query = self.query.as_ref().map(|(_, names)| match &**names {
            [] => quote!(.ignore_query()),
            names => quote!(.query([#(#names),*])),
        });
        let vary = &self.vary;
        quote!(#start #swr #sie #(.tag(#tags))* #query #(.vary([#vary]))*)
    }
}

impl Parse for InvalidatesArguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            let message = "nothing is named; write tags, such as `\"product:{id}\"`";
            return Err(syn::Error::new(Span::call_site(), message));
        }
        let tags = Punctuated::<LitStr, Token![,]>::parse_terminated(input)?;
        Ok(Self {
            tags: templates(tags)?,
        })
    }
}

fn duration(key: &Ident, input: ParseStream<'_>) -> syn::Result<Duration> {
    let usage = || format!("write `{key} = \"5m\"`: a number and a unit, as a text");
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(key.span(), usage()));
    }
    input.parse::<Token![=]>()?;
    if !input.peek(LitStr) {
        return Err(input.error(usage()));
    }
    Duration::read(input.parse()?)
}

fn list(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    if !input.peek(syn::token::Paren) {
        let message = format!("write `{key}(\"…\", \"…\")`: texts in parentheses");
        return Err(syn::Error::new(key.span(), message));
    }
    let inside;
    parenthesized!(inside in input);
    let names = Punctuated::<LitStr, Token![,]>::parse_terminated(&inside)?;
    Ok(names.into_iter().collect())
}

fn templates(literals: impl IntoIterator<Item = LitStr>) -> syn::Result<Vec<Template>> {
    literals.into_iter().map(Template::read).collect()
}

fn check_name(what: &str, name: &LitStr, good: fn(&str) -> bool) -> syn::Result<()> {
    if good(&name.value()) {
        return Ok(());
    }
    let message = format!("`{}` is no name of a {what}", name.value().escape_debug());
    Err(syn::Error::new(name.span(), message))
}

/// Returns whether `name` is a token, and not the star, which is no field (RFC 9110 §5.1).
fn is_header_name(name: &str) -> bool {
    let mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    let token = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || mark(byte));
    !name.is_empty() && name != "*" && token
}
