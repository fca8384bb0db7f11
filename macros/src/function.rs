//! What an attribute has to know of the function that it is on.

use syn::{
    FnArg, GenericArgument, ItemFn, Pat, Path, PathArguments, ReturnType, Type, parse_quote,
};

/// Types that stand for one parameter of a path; others may take several by the names of their fields.
const SINGLE: &[&str] = &[
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32",
    "u64", "u128", "usize", "String", "Uuid",
];

/// Returns the names of the path's parameters, as far as the handler tells: `None` if it does not.
///
/// It tells where `Path` is taken apart: `Path(id): Path<u64>`, `Path((shop, id)): Path<(u64, u64)>`,
/// `Path(Product { shop, id }): Path<Product>`.
pub(crate) fn path_names(function: &ItemFn) -> Option<Vec<String>> {
    let paths = function.sig.inputs.iter().filter_map(|argument| {
        let FnArg::Typed(argument) = argument else {
            return None;
        };
        let Type::Path(typed) = &*argument.ty else {
            return None;
        };
        let last = typed.path.segments.last()?;
        (last.ident == "Path").then_some((&*argument.pat, &last.arguments))
    });
    let mut paths = paths.peekable();
    paths.peek()?;
    let names = paths.map(|(pattern, inner)| names_of(pattern, inner));
    names
        .collect::<Option<Vec<_>>>()
        .map(|names| names.concat())
}

/// Returns the names in the pattern of a `Path`; `None` if it does not tell all of them.
fn names_of(pattern: &Pat, inner: &PathArguments) -> Option<Vec<String>> {
    let Pat::TupleStruct(opened) = pattern else {
        return None;
    };
    match opened.elems.first()? {
        Pat::Tuple(tuple) => tuple.elems.iter().map(name_of).collect(),
        Pat::Struct(fields) if fields.rest.is_none() => {
            let names = fields.fields.iter().map(|field| match &field.member {
                syn::Member::Named(name) => Some(name.to_string()),
                syn::Member::Unnamed(_) => None,
            });
            names.collect()
        }
        one @ Pat::Ident(_) if is_single(inner) => name_of(one).map(|name| vec![name]),
        _ => None,
    }
}

fn name_of(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(name) if name.subpat.is_none() => {
            let name = name.ident.to_string();
            Some(name.trim_start_matches('_').to_owned())
        }
        _ => None,
    }
}

fn is_single(arguments: &PathArguments) -> bool {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return false;
    };
    let Some(GenericArgument::Type(Type::Path(inner))) = arguments.args.first() else {
        return false;
    };
    let last = inner.path.segments.last();
    last.is_some_and(|last| SINGLE.iter().any(|single| last.ident == single))
}

/// Returns the type of the answer.
pub(crate) fn answer(function: &ItemFn) -> Type {
    match &function.sig.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, answer) => Type::clone(answer),
    }
}

/// Returns whether the function gives a boxed future, as `async_trait` makes it.
pub(crate) fn is_boxed(function: &ItemFn) -> bool {
    let Type::Path(answer) = answer(function) else {
        return false;
    };
    ends_with(&answer.path, "Pin")
}

/// Returns whether an attribute of this name is still to be read after this one.
pub(crate) fn is_followed_by(function: &ItemFn, name: &str) -> bool {
    let mut attributes = function.attrs.iter();
    attributes.any(|attribute| ends_with(attribute.path(), name))
}

/// Returns whether the last name of a path is `name`.
pub(crate) fn ends_with(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name)
}

/// Returns whether the type is told by the body alone.
pub(crate) fn is_opaque(answer: &Type) -> bool {
    quote::ToTokens::to_token_stream(answer)
        .into_iter()
        .any(has_impl)
}

fn has_impl(token: proc_macro2::TokenTree) -> bool {
    match token {
        proc_macro2::TokenTree::Ident(word) => word == "impl",
        proc_macro2::TokenTree::Group(group) => group.stream().into_iter().any(has_impl),
        _ => false,
    }
}

/// Refuses a function whose answer is not awaited.
pub(crate) fn must_be_async(function: &ItemFn) -> syn::Result<()> {
    if function.sig.asyncness.is_some() {
        return Ok(());
    }
    let message = "handlers are `async fn`s; methods of tonic stand inside `#[tonic::async_trait]`";
    Err(syn::Error::new(function.sig.fn_token.span, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Option<String> {
        path_names(&syn::parse_str(source).unwrap()).map(|names| names.join(" "))
    }

    #[test]
    fn a_path_that_is_taken_apart_tells_its_names() {
        for (source, wanted) in [
            ("async fn a(Path(id): Path<u64>) {}", "id"),
            (
                "async fn a(s: State<S>, Path(_id): axum::extract::Path<String>) {}",
                "id",
            ),
            ("async fn a(Path((a, b)): Path<(u64, X)>) {}", "a b"),
            ("async fn a(Path(P { a, b: _ }): Path<P>) {}", "a b"),
        ] {
            assert_eq!(names(source).as_deref(), Some(wanted), "{source}");
        }
    }

    #[test]
    fn other_handlers_tell_nothing() {
        for source in [
            "async fn a() {}",
            "async fn a(path: Path<u64>) {}",
            "async fn a(Path(p): Path<Product>) {}",
            "async fn a(Path((a, _)): Path<(u64, u64)>) {}",
            "async fn a(Path(P { a, .. }): Path<P>) {}",
        ] {
            assert_eq!(names(source), None, "{source}");
        }
    }
}
