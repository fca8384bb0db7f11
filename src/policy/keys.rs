//! The settings for what a key holds, and by which tags its answers are purged.

use http::{HeaderName, request::Parts};

use super::{
    Key, Policy,
    settings::{Identity, is_token, sort},
    tag,
};

impl Policy {
    /// Adds a tag by which answers are purged, with route parameters in braces.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// let product = Policy::ttl(mins(5)).tag("product:{id}");
    /// ```
    pub fn tag(mut self, template: &str) -> Self {
        match tag::template(template) {
            Ok(template) if self.tags.contains(&template) => {}
            Ok(template) => self.tags.push(template),
            Err(mistake) => self.mistakes.push(mistake),
        }
        self
    }

    /// Adds several tags, see [`tag`](Self::tag).
    pub fn tags<T: AsRef<str>>(self, templates: impl IntoIterator<Item = T>) -> Self {
        templates
            .into_iter()
            .fold(self, |policy, template| policy.tag(template.as_ref()))
    }

    /// Sets what stands for the path in the key. Default: [`Key::url`].
    pub fn key(mut self, form: Key) -> Self {
        self.key = Some(form);
        self
    }

    /// Lists the query parameters that the answer depends on.
    ///
    /// The key holds these alone, ordered by name (equal names keep their order), and all others
    /// are removed from the URI that the handler sees: it could otherwise put one of them into an
    /// answer that others share. Names are compared decoded, values raw. Default: the whole raw
    /// query.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// let list = Policy::ttl(mins(1)).query(["page", "sort"]);
    /// ```
    pub fn query<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.query = Some(self.names("query parameter", names, |name| !name.is_empty()));
        self
    }

    /// Lists no query parameter: neither the key nor the handler sees the query.
    pub fn ignore_query(mut self) -> Self {
        self.query = Some(Vec::new());
        self
    }

    /// Adds request headers to the key, with all their lines.
    ///
    /// For what the handler reads but does not say in `Vary`. A header of the guarded kind
    /// (`Authorization`, `X-User-Id`, `X-Forwarded-Host`, ...) lets requests pass by the cache unless it
    /// is named here.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// let list = Policy::ttl(mins(1)).vary(["accept-language", "x-tenant"]);
    /// ```
    pub fn vary<T: AsRef<str>>(mut self, headers: impl IntoIterator<Item = T>) -> Self {
        for header in headers {
            let text = header.as_ref();
            // A star is a good name by its letters, but whoever writes it means what can not be keyed.
            match HeaderName::from_bytes(text.as_bytes()) {
                Ok(name) if text != "*" => self.vary.push(name),
                _ => self.mistake(format!(
                    "`{}` is no header name; name one header each",
                    text.escape_debug()
                )),
            }
        }
        sort(&mut self.vary, HeaderName::as_str);
        self
    }

    /// Adds cookies to the key, by name.
    ///
    /// A request with a cookie that is neither keyed nor [ignored](Self::ignore_cookies) passes by
    /// the cache.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// let page = Policy::ttl(mins(1)).key_cookies(["theme"]).ignore_cookies(["_ga"]);
    /// ```
    pub fn key_cookies<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        let more = self.names("cookie", names, is_token);
        self.key_cookies.extend(more);
        sort(&mut self.key_cookies, |name| name);
        self
    }

    /// Names cookies that the answer does not depend on, such as those of analytics.
    ///
    /// The handler still sees them: name none that it reads.
    pub fn ignore_cookies<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.ignore_cookies = Some(self.names("cookie", names, is_token));
        self
    }

    /// Gives each owner of requests entries of their own.
    ///
    /// The function names the owner, say from an extension that the layer for sign-in left. Whoever
    /// gets the same name shares answers, so it must come from something checked. With a name,
    /// `Authorization`, cookies and other fields that tell who asks no longer make a request pass by;
    /// `None` is nobody, for whom they do.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// #[derive(Clone)]
    /// struct User(u64);
    ///
    /// let mine = Policy::ttl(mins(1))
    ///     .key_by_identity(|request| Some(request.extensions.get::<User>()?.0.to_string()));
    /// ```
    pub fn key_by_identity(
        mut self,
        identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.identity = Some(Identity::new(identify));
        self
    }

    /// Honours the `No-Vary-Search` field of responses. Default: off.
    pub fn no_vary_search(mut self, on: bool) -> Self {
        self.no_vary_search = Some(on);
        self
    }
}
