//! Which methods are cached, and which invalidate what.

use std::{collections::HashMap, fmt, sync::Arc};

use super::descriptors::{Described, Descriptors, Fields, Filled};
use crate::{
    error::{Error, ErrorKind},
    invalidate::Purge,
    policy::{Invalidate, Policy, RouteTable, Routes, Template},
};

/// Declares policies and invalidations by the paths of methods, `/package.Service/Method`.
///
/// A method is never taken for cacheable by its name. It is if it is listed here, if a descriptor set
/// says that it has no side effects and [`reads`](Self::reads) gives those a policy, or if an attribute
/// stands on it. Tags may name fields of the request's message, if a descriptor set is given that has
/// them: those with one plain value, written as Rust prints it.
///
/// ```
/// use larder::{GrpcMethods, Invalidate, Policy, mins};
///
/// # fn table(descriptor_set: &[u8]) -> Result<(), larder::Error> {
/// let methods = GrpcMethods::new()
///     .descriptor_set(descriptor_set)
///     .cache("/shop.Products/Get", Policy::ttl(mins(5)).tag("product:{id}"))
///     .on("/shop.Products/Put", Invalidate::tags(["product:{id}", "products"]))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GrpcMethods {
    sets: Vec<Vec<u8>>,
    reads: Option<Policy>,
    cached: Vec<(String, Policy)>,
    changing: Vec<(String, Invalidate)>,
}

impl GrpcMethods {
    /// Returns a table without methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an encoded `FileDescriptorSet`, as compilers of protocol buffers write it.
    pub fn descriptor_set(mut self, encoded: &[u8]) -> Self {
        self.sets.push(encoded.to_vec());
        self
    }

    /// Declares the policy of a unary method that changes nothing.
    ///
    /// A call has no query, and an answer that is not `OK` is never kept: a policy that lists parameters,
    /// statuses to store or the lifetime of a 404 is refused.
    /// [`Policy::vary`] names the metadata that are part of the key besides the message.
    pub fn cache(mut self, method: &str, policy: Policy) -> Self {
        self.cached.push((method.to_owned(), policy));
        self
    }

    /// Declares the policy of all unary methods that the descriptor sets declare with
    /// `idempotency_level = NO_SIDE_EFFECTS`, but for those that have one of their own.
    pub fn reads(mut self, policy: Policy) -> Self {
        self.reads = Some(policy);
        self
    }

    /// Declares what a method invalidates.
    ///
    /// A field that a tag names and the message does not show (since it is compressed, longer than
    /// 64 KiB or one of several) widens to everything.
    pub fn on(mut self, method: &str, invalidate: Invalidate) -> Self {
        self.changing.push((method.to_owned(), invalidate));
        self
    }

    /// Reads the descriptor sets and checks all that was declared.
    ///
    /// # Errors
    ///
    /// Names every fault, a line each: a descriptor set that can not be read, a path that is none of
    /// a method, a method that the set of its service does not have or that streams, one that is
    /// declared twice, what a policy can not do, fields that a message does not have.
    pub fn build(self) -> Result<GrpcMethodTable, Error> {
        let mut building = Building::default();
        for set in &self.sets {
            if let Err(fault) = building.descriptors.add(set) {
                building.faults.push(fault);
            }
        }
        let mut cached = self.cached;
        if let Some(policy) = self.reads {
            let own: Vec<_> = cached.iter().map(|(method, _)| method.clone()).collect();
            let reads = building.descriptors.reads();
            let others = reads.into_iter().filter(|path| !own.contains(path));
            cached.extend(others.map(|path| (path, policy.clone())));
        }
        for (method, policy) in cached {
            building.cached(&method, policy);
        }
        for (method, invalidate) in self.changing {
            building.changing(&method, invalidate);
        }
        building.finish()
    }
}

/// A table of methods that was read and checked. Cheap to clone.
///
/// Made by [`GrpcMethods::build`].
#[derive(Clone, Default)]
pub struct GrpcMethodTable {
    rules: Arc<HashMap<Box<str>, Arc<Rule>>>,
    pub(super) routes: RouteTable,
}

impl GrpcMethodTable {
    pub(super) fn get(&self, path: &str) -> Option<&Arc<Rule>> {
        self.rules.get(path)
    }
}

impl fmt::Debug for GrpcMethodTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.rules.keys()).finish()
    }
}

/// What is declared for a method.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) cached: bool,
    tags: Vec<Template>,
    pub(super) invalidates: Option<Invalidate>,
    fields: Fields,
}

impl Rule {
    /// Returns the tags of an answer to `message`; `None` if a field can not be read.
    pub(super) fn tags(&self, message: &[u8]) -> Option<Vec<String>> {
        let filled = Filled {
            fields: &self.fields,
            message: Some(message),
        };
        self.tags.iter().map(|tag| tag.expand(&filled)).collect()
    }

    /// Returns what a call invalidates; without the message, what names its fields is everything.
    pub(super) fn purge(&self, message: Option<&[u8]>) -> Purge {
        let Some(declared) = &self.invalidates else {
            return Purge::default();
        };
        let filled = Filled {
            fields: &self.fields,
            message,
        };
        let targets = declared.targets(&filled);
        if declared.is_soft() {
            Purge::soft(targets)
        } else {
            Purge::hard(targets)
        }
    }
}

#[derive(Default)]
struct Building {
    descriptors: Descriptors,
    rules: HashMap<Box<str>, Rule>,
    routes: Routes,
    faults: Vec<Error>,
}

impl Building {
    fn cached(&mut self, method: &str, mut policy: Policy) {
        let Some(described) = self.method(method) else {
            return;
        };
        if described.as_ref().is_some_and(|described| !described.unary) {
            self.fault(method, "streams; only answers of one message are cached");
        }
        if policy.query.is_some() {
            self.fault(method, "has no query; a call is keyed by its message");
        }
        if policy.store_status.is_some() || policy.negative_ttl.is_some() {
            self.fault(method, NO_STATUS);
        }
        let tags = std::mem::take(&mut policy.tags);
        let fields = described.map(|described| described.fields);
        let mut faults = policy.faults();
        for tag in tags.iter().filter(|tag| !tag.is_plain()) {
            match &fields {
                Some(fields) => faults.extend(tag.unknown(&fields.names())),
                None => self.fault(method, NO_FIELDS),
            }
        }
        self.faults_of(method, &faults);
        let rule = Rule {
            cached: true,
            tags,
            invalidates: None,
            fields: fields.unwrap_or_default(),
        };
        self.routes = std::mem::take(&mut self.routes).get(method, policy.compress(false));
        self.add(method, rule);
    }

    fn changing(&mut self, method: &str, invalidate: Invalidate) {
        let Some(described) = self.method(method) else {
            return;
        };
        let fields = described.map(|described| described.fields);
        match &fields {
            Some(fields) => self.faults_of(method, &invalidate.faults_with(&fields.names())),
            None if invalidate.faults_with(&[]).is_empty() => {}
            None => {
                self.faults_of(method, &invalidate.faults_with(&[]));
                self.fault(method, NO_FIELDS);
            }
        }
        let rule = Rule {
            invalidates: Some(invalidate),
            fields: fields.unwrap_or_default(),
            ..Rule::default()
        };
        self.add(method, rule);
    }

    /// Returns what the descriptor sets say of a method; nothing at all if it can not be one.
    #[expect(
        clippy::option_option,
        reason = "that there is no such method and that nothing is known of it are two answers"
    )]
    fn method(&mut self, method: &str) -> Option<Option<Described>> {
        let names = method
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'));
        let is_name =
            |name: &str| !name.is_empty() && !name.contains(['/', '{', '}', '?', '#', ' ']);
        if !names.is_some_and(|(service, name)| is_name(service) && is_name(name)) {
            self.fault(
                method,
                "is no path of a method; write `/package.Service/Method`",
            );
            return None;
        }
        let described = self.descriptors.get(method).cloned();
        if described.is_none() && self.descriptors.knows_service(method) {
            self.fault(method, "is not in the descriptor set of its service");
            return None;
        }
        Some(described)
    }

    fn add(&mut self, method: &str, rule: Rule) {
        if self.rules.insert(method.into(), rule).is_some() {
            self.fault(method, "is declared twice; keep one");
        }
    }

    fn fault(&mut self, method: &str, reason: &str) {
        let message = format!("method `{}` {reason}", method.escape_debug());
        self.faults.push(Error::new(ErrorKind::Pattern, message));
    }

    fn faults_of(&mut self, method: &str, faults: &[Error]) {
        let named = |fault: &Error| Error::new(fault.kind(), format!("method `{method}`: {fault}"));
        self.faults.extend(faults.iter().map(named));
    }

    fn finish(self) -> Result<GrpcMethodTable, Error> {
        if let Some(error) = Error::all(&self.faults) {
            return Err(error);
        }
        let rules = self.rules.into_iter();
        Ok(GrpcMethodTable {
            rules: Arc::new(rules.map(|(path, rule)| (path, Arc::new(rule))).collect()),
            routes: self.routes.build()?,
        })
    }
}

const NO_STATUS: &str = "has no statuses to store; only answers with the code 0 are kept: leave `store_status` and \
     `negative_ttl` out";

const NO_FIELDS: &str = "has a tag with a field of its message, which no descriptor set names; give the set, or name \
     the tag in the handler";
