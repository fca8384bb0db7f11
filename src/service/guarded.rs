//! Which fields of a request may change its answer, and whose answer it is, although no key holds them?
//!
//! Handlers and frameworks read these by themselves, and those who sign users in before a service write
//! them. A request that carries one passes by the cache unless its policy says what it means.

/// Returns whether a field is one by which proxies and frameworks override the URL or the method.
pub(super) fn overrides(name: &str) -> bool {
    matches!(
        name,
        "forwarded"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "x-forwarded-scheme"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-forwarded-server"
            | "x-host"
            | "x-original-url"
            | "x-original-host"
            | "x-rewrite-url"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-http-host-override"
    )
}

/// Returns whether a field says who asks: a token, a key, or what a proxy writes that has signed the
/// user in. Of those that come in many forms the beginning is enough.
pub(super) fn names_caller(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("x-") else {
        return matches!(
            name,
            "access-token"
                | "api-key"
                | "apikey"
                | "auth-token"
                | "cf-access-authenticated-user-email"
                | "cf-access-client-id"
                | "cf-access-jwt-assertion"
                | "client-cert"
                | "client-cert-chain"
                | "private-token"
                | "remote-email"
                | "remote-groups"
                | "remote-name"
                | "remote-user"
                | "tailscale-user-login"
        );
    };
    let begins: &[&str] = match rest.as_bytes().first() {
        Some(b'a') => &["access-token", "amzn-mtls-", "amzn-oidc-", "api", "auth"],
        Some(b'c') => &["client-cert", "consumer-", "credential-"],
        Some(b'f') => &[
            "forwarded-access-token",
            "forwarded-client-cert",
            "forwarded-email",
            "forwarded-groups",
            "forwarded-preferred-username",
            "forwarded-user",
        ],
        Some(b'g') => &["goog-authenticated-", "goog-iap-jwt"],
        Some(b'j') => &["jwt"],
        Some(b'm') => &["ms-client-principal", "ms-token-"],
        Some(b'p') => &["pomerium-"],
        Some(b'r') => &["remote-"],
        Some(b's') => &["session", "ssl-client-"],
        Some(b't') => &["token"],
        Some(b'u') => &["user"],
        Some(b'w') => &["webauth-"],
        _ => &[],
    };
    begins.iter().any(|begin| rest.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_which_users_are_told_apart_are_known() {
        for name in [
            "x-api-key",
            "x-auth-token",
            "x-auth-request-email",
            "x-authenticated-userid",
            "x-access-token",
            "x-amzn-oidc-data",
            "x-consumer-username",
            "x-forwarded-client-cert",
            "x-forwarded-user",
            "x-goog-iap-jwt-assertion",
            "x-ms-client-principal-id",
            "x-remote-user",
            "x-session-id",
            "x-user",
            "x-user-id",
            "private-token",
            "remote-user",
            "cf-access-jwt-assertion",
        ] {
            assert!(names_caller(name) && !overrides(name), "{name}");
        }
    }

    #[test]
    fn fields_that_every_request_has_are_not_taken_for_those() {
        for name in [
            "x-request-id",
            "x-real-ip",
            "x-forwarded-for",
            "x-amzn-trace-id",
            "x-b3-traceid",
            "x-correlation-id",
            "x-requested-with",
            "x-cloud-trace-context",
            "cf-ray",
            "traceparent",
            "priority",
            "sec-fetch-mode",
        ] {
            assert!(!names_caller(name) && !overrides(name), "{name}");
        }
    }
}
