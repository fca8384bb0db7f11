//! Handlers of axum: functions without a receiver.

use quote::quote;
use syn::{FnArg, ItemFn, Type, parse_quote};

use crate::{
    arguments::{CacheArguments, InvalidatesArguments},
    function::{answer, is_followed_by, is_opaque, must_be_async, path_names},
    template::Template,
};

/// Wraps what the handler answers, so that the policy travels with the response.
pub(crate) fn cache(arguments: &CacheArguments, function: &mut ItemFn) -> syn::Result<()> {
    must_be_async(function)?;
    check(&arguments.tags, function)?;
    let policy = arguments.policy(true);
    let body = awaited(function);
    let answer = answer(function);
    function.sig.output = parse_quote!(-> ::larder::attributes::Answer<#answer>);
    *function.block = parse_quote!({
        static LARDER_POLICY: ::larder::attributes::Declared =
            ::larder::attributes::Declared::new(|| #policy);
        let answer = #body;
        let failed = {
            use ::larder::attributes::Otherwise as _;
            ::larder::attributes::Probe(&answer).is_error()
        };
        ::larder::attributes::Answer::new(answer, failed, &LARDER_POLICY)
    });
    Ok(())
}

/// Returns an expression that runs the body of an `async fn` to its end, `return` and `?` included.
pub(crate) fn awaited(function: &ItemFn) -> proc_macro2::TokenStream {
    let (block, answer) = (&function.block, answer(function));
    // The way that is never taken tells the compiler what is answered, where the body leaves it open.
    let told = (!is_opaque(&answer)).then(|| {
        quote! {
            if false {
                let never: #answer = loop {};
                return never;
            }
        }
    });
    quote! {
        {
            #[allow(
                unreachable_code,
                clippy::diverging_sub_expression,
                clippy::empty_loop,
                clippy::let_unit_value,
                clippy::needless_return,
                clippy::unused_unit,
                reason = "the way that is never taken"
            )]
            let answer = async move {
                #told
                #block
            }
            .await;
            answer
        }
    }
}

/// Notes the tags before the body begins. They come with an argument, since only those see the
/// request: the first one is wrapped, so that the number of them stays what other attributes saw.
pub(crate) fn invalidates(
    arguments: &InvalidatesArguments,
    function: &mut ItemFn,
) -> syn::Result<()> {
    must_be_async(function)?;
    check(&arguments.tags, function)?;
    let tags = arguments.tags.iter().map(|tag| &tag.literal);
    let opened = open(function);
    let statements = &function.block.stmts;
    *function.block = parse_quote!({
        static LARDER_TARGETS: ::larder::attributes::Targets =
            ::larder::attributes::Targets::new(|| ::larder::Invalidate::new() #(.tag(#tags))*);
        #opened
        #(#statements)*
    });
    Ok(())
}

/// Gives the function the scope of its request, and returns the statements that note the targets.
fn open(function: &mut ItemFn) -> proc_macro2::TokenStream {
    // This one reads the types of the arguments and must find them as they are.
    let is_read = is_followed_by(function, "debug_handler");
    let first = function.sig.inputs.first_mut().filter(|_| !is_read);
    let Some(FnArg::Typed(first)) = first else {
        let scope: FnArg = parse_quote!(larder_scope: ::larder::attributes::Scope);
        function.sig.inputs.insert(0, scope);
        return quote!(larder_scope.note(&LARDER_TARGETS););
    };
    let (pattern, wrapped) = (first.pat.clone(), first.ty.clone());
    *first.pat = parse_quote!(larder_scoped);
    *first.ty = Type::Verbatim(quote!(::larder::attributes::Scoped<#wrapped>));
    quote! {
        larder_scoped.scope.note(&LARDER_TARGETS);
        let #pattern = larder_scoped.value;
    }
}

fn check(tags: &[Template], function: &ItemFn) -> syn::Result<()> {
    match path_names(function) {
        Some(known) => tags.iter().try_for_each(|tag| tag.check(&known)),
        None => Ok(()),
    }
}
