//! What a program has written from the `.proto` files beside it.

#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    rust_2018_idioms,
    reason = "written by a program"
)]
#[rustfmt::skip]
pub(crate) mod shop;
