//! Requests and answers, as both wires carry them.

/// A request. What it says is sent as it stands, with nothing added but its length.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, raw.
    pub(crate) target: String,
    pub(crate) authority: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            authority: "ground.test".to_owned(),
            fields: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn at(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.as_bytes().to_vec());
        self
    }
}

/// An answer, or as much of it as came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Field lines in order, names in lower case, bytes above ASCII replaced.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to its end as its framing told.
    pub(crate) whole: bool,
}

impl Answer {
    /// Returns all lines of a field, joined as one list.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let lines = self.fields.iter().filter(|(given, _)| given == name);
        let values: Vec<&str> = lines.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns which handler run made this answer.
    pub(crate) fn run(&self) -> Option<u64> {
        self.field("x-run")?.parse().ok()
    }

    /// Returns whether larder says that it answered from its store.
    pub(crate) fn is_hit(&self) -> bool {
        self.has_status_parameter("hit")
    }

    /// Returns whether larder says that it stood aside.
    pub(crate) fn is_bypass(&self) -> bool {
        self.has_status_parameter("fwd=bypass")
    }

    /// Looks for a parameter in larder's member of `Cache-Status` (RFC 9211 §2).
    pub(crate) fn has_status_parameter(&self, parameter: &str) -> bool {
        let list = self.field("cache-status").unwrap_or_default();
        let members = list
            .split(',')
            .map(|member| member.split(';').map(str::trim));
        members
            .filter_map(|mut parts| (parts.next()? == "larder").then_some(parts))
            .any(|mut parts| parts.any(|part| part == parameter))
    }
}
