//! Ways to ask that many tests share.

use super::script::Step;

/// What makes an answer of `/ctl` reusable by everybody for a minute.
pub(crate) const SHARED: (&str, &str) = ("h", "Cache-Control:public,max-age=60");

/// Returns the target that makes `/ctl` answer so.
pub(crate) fn ctl(orders: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = orders
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    format!("/ctl?{}", pairs.join("&"))
}

/// Returns the target of a shared answer with these orders besides.
pub(crate) fn shared(orders: &[(&str, &str)]) -> String {
    ctl(&[&[SHARED], orders].concat())
}

pub(crate) fn get(target: &str) -> Step {
    Step::new("GET", target)
}

/// Asks twice for what may never be stored.
pub(crate) fn never_stored(target: &str) -> Vec<Step> {
    vec![get(target).fresh(), get(target).fresh()]
}

/// Asks twice for what is stored: shows that a row could tell the difference.
pub(crate) fn stored(target: &str) -> Vec<Step> {
    vec![get(target).fresh(), get(target).reused()]
}

/// Sends an unkeyed field that the handler believes, around two visitors who send none.
///
/// Neither may the attacker's answer reach a visitor, nor may the attacker get a visitor's. The
/// first attack may come before larder knows the route, and then passes without a word.
pub(crate) fn guarded(target: &str, field: (&str, &str), evil: &str, clean: &str) -> Vec<Step> {
    let attack = || get(target).with(field.0, field.1).body(evil);
    vec![
        attack().fresh(),
        get(target).body(clean).fresh(),
        get(target).body(clean).reused(),
        attack().bypassed(),
        get(target).body(clean).reused(),
    ]
}

fn encoded(value: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:,=/".contains(&byte);
    let encode = |byte: u8| {
        if keep(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    value.bytes().map(encode).collect()
}
