//! Methods of tonic: functions with a receiver, the request and an answer of `Result<Response<_>, _>`.
//!
//! `async_trait` comes first and makes a function of each that gives a boxed future; methods that
//! are `async fn`s are taken as well.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, quote_spanned};
use syn::{FnArg, Ident, ItemFn, Pat, parse_quote};

use crate::{
    arguments::{CacheArguments, InvalidatesArguments},
    function::{is_boxed, must_be_async},
    handler::awaited,
    template::{Piece, Template},
};

/// Puts the policy into the extensions of a good answer.
pub(crate) fn cache(arguments: &CacheArguments, function: &mut ItemFn) -> syn::Result<()> {
    if let Some((key, _)) = &arguments.query {
        let message = "`query` is for URLs; a method of gRPC is keyed by its message";
        return Err(syn::Error::new(key.span(), message));
    }
    let is_boxed = is_boxed(function);
    if !is_boxed {
        must_be_async(function)?;
    }
    let policy = arguments.policy(false);
    let (request, opened) = request(function)?;
    let tags = arguments.tags.iter().map(|tag| filled(tag, &request));
    let declare = quote! {
        if let ::core::result::Result::Ok(response) = &mut answer {
            ::larder::attributes::declare(response.extensions_mut(), &LARDER_POLICY, larder_tags);
        }
        answer
    };
    let output = &function.sig.output;
    let ended = if is_boxed {
        let block = &function.block;
        let syn::ReturnType::Type(_, boxed) = output else {
            return must_be_async(function);
        };
        quote! {
            let larder_run: #boxed = { #opened #block };
            ::std::boxed::Box::pin(async move {
                let mut answer = larder_run.await;
                #declare
            })
        }
    } else {
        let body = awaited(function);
        quote! {
            #opened
            let mut answer = #body;
            #declare
        }
    };
    *function.block = parse_quote!({
        static LARDER_POLICY: ::larder::attributes::Declared =
            ::larder::attributes::Declared::new(|| #policy);
        let larder_tags: ::std::vec::Vec<::std::string::String> = ::std::vec![#(#tags),*];
        #ended
    });
    Ok(())
}

/// Notes the tags before the body begins.
pub(crate) fn invalidates(
    arguments: &InvalidatesArguments,
    function: &mut ItemFn,
) -> syn::Result<()> {
    let (request, opened) = request(function)?;
    let tags = arguments.tags.iter().map(|tag| filled(tag, &request));
    let statements = &function.block.stmts;
    *function.block = parse_quote!({
        ::larder::attributes::note(#request.extensions(), [#(#tags),*]);
        #opened
        #(#statements)*
    });
    Ok(())
}

/// Returns the name of the argument with the request, and what gives it back its own pattern.
fn request(function: &mut ItemFn) -> syn::Result<(Ident, TokenStream)> {
    let found = function
        .sig
        .inputs
        .iter_mut()
        .find_map(|argument| match argument {
            FnArg::Typed(argument) => Some(argument),
            FnArg::Receiver(_) => None,
        });
    let Some(argument) = found else {
        let message = "a method of tonic takes a `Request`";
        return Err(syn::Error::new(function.sig.fn_token.span, message));
    };
    if let Pat::Ident(name) = &*argument.pat
        && name.by_ref.is_none()
        && name.subpat.is_none()
    {
        return Ok((name.ident.clone(), TokenStream::new()));
    }
    let pattern = argument.pat.clone();
    *argument.pat = parse_quote!(larder_request);
    let name = parse_quote!(larder_request);
    Ok((name, quote!(let #pattern = larder_request;)))
}

/// Returns an expression for the tag, with fields of the message in their places. A field that is not
/// there is reported by the compiler, at the tag and with those that are.
fn filled(tag: &Template, request: &Ident) -> TokenStream {
    let mut format = String::new();
    let mut fields = Vec::new();
    for piece in &tag.pieces {
        match piece {
            Piece::Text(text) => format.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Piece::Name(name) => {
                format.push_str("{}");
                let field = Ident::new(name, tag.span());
                fields.push(quote_spanned!(tag.span()=> #request.get_ref().#field));
            }
        }
    }
    let mut format = Literal::string(&format);
    format.set_span(tag.span());
    quote!(::std::format!(#format #(, #fields)*))
}
