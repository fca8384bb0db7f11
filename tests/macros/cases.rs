//! What may be written in an attribute, and what the compiler says of the rest.

#[test]
fn attributes_are_accepted_or_refused_where_the_mistake_is() {
    let cases = trybuild::TestCases::new();
    cases.pass("../tests/macros/pass/*.rs");
    cases.compile_fail("../tests/macros/fail/*.rs");
}
