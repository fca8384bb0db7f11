//! What a descriptor set says of methods: which of them change nothing, and what their messages hold.

use std::{borrow::Cow, collections::HashMap};

use prost::Message;
use prost_types::{
    DescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
    method_options::IdempotencyLevel,
};

use super::wire::{self, Value};
use crate::{
    error::{Error, ErrorKind},
    policy::Values,
};

/// The methods of a descriptor set, by their paths.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    methods: HashMap<String, Described>,
}

/// A method.
#[derive(Clone, Debug)]
pub(super) struct Described {
    /// Neither side streams.
    pub(super) unary: bool,
    /// It is declared `NO_SIDE_EFFECTS`.
    pub(super) reads: bool,
    pub(super) fields: Fields,
}

/// The fields of a message that can stand in a tag: those with one plain value.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<Field>);

#[derive(Clone, Debug)]
struct Field {
    name: Box<str>,
    number: u32,
    kind: Type,
}

impl Descriptors {
    /// Adds the methods of an encoded `FileDescriptorSet`.
    pub(super) fn add(&mut self, encoded: &[u8]) -> Result<(), Error> {
        let set = FileDescriptorSet::decode(encoded).map_err(|fault| {
            let message = format!("the descriptor set can not be read: {fault}");
            Error::new(ErrorKind::Configuration, message)
        })?;
        let mut messages = HashMap::new();
        for file in &set.file {
            let within = prefixed("", file.package());
            for message in &file.message_type {
                collect(&within, message, &mut messages);
            }
        }
        for file in &set.file {
            for service in &file.service {
                let name = prefixed(&prefixed("", file.package()), service.name());
                for method in &service.method {
                    let path = format!("/{}/{}", name.trim_start_matches('.'), method.name());
                    self.methods.insert(path, described(method, &messages));
                }
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, path: &str) -> Option<&Described> {
        self.methods.get(path)
    }

    /// Returns whether there is a service of the path's name, so that its methods are known.
    pub(super) fn knows_service(&self, path: &str) -> bool {
        let service = |path: &str| path.rsplit_once('/').map(|(service, _)| service.to_owned());
        let wanted = service(path);
        self.methods.keys().any(|path| service(path) == wanted)
    }

    /// Returns the paths of unary methods that change nothing, in their order.
    pub(super) fn reads(&self) -> Vec<String> {
        let reads = self
            .methods
            .iter()
            .filter(|(_, method)| method.reads && method.unary);
        let mut paths: Vec<_> = reads.map(|(path, _)| path.clone()).collect();
        paths.sort_unstable();
        paths
    }
}

fn prefixed(within: &str, name: &str) -> String {
    if name.is_empty() {
        within.to_owned()
    } else {
        format!("{within}.{name}")
    }
}

fn collect<'a>(
    within: &str,
    message: &'a DescriptorProto,
    found: &mut HashMap<String, &'a DescriptorProto>,
) {
    let name = prefixed(within, message.name());
    for nested in &message.nested_type {
        collect(&name, nested, found);
    }
    found.insert(name, message);
}

fn described(
    method: &MethodDescriptorProto,
    messages: &HashMap<String, &DescriptorProto>,
) -> Described {
    let level = method
        .options
        .as_ref()
        .map(|options| options.idempotency_level());
    let fields = messages
        .get(method.input_type())
        .map(|message| Fields::of(message));
    Described {
        unary: !method.client_streaming() && !method.server_streaming(),
        reads: level == Some(IdempotencyLevel::NoSideEffects),
        fields: fields.unwrap_or_default(),
    }
}

impl Fields {
    fn of(message: &DescriptorProto) -> Self {
        let plain = message.field.iter().filter(|field| {
            field.label() != Label::Repeated
                && !matches!(field.r#type(), Type::Message | Type::Group | Type::Bytes)
        });
        Self(
            plain
                .filter_map(|field| {
                    Some(Field {
                        name: field.name().into(),
                        number: u32::try_from(field.number()).ok()?,
                        kind: field.r#type(),
                    })
                })
                .collect(),
        )
    }

    /// Returns the names, in the order of the message.
    pub(super) fn names(&self) -> Vec<Box<str>> {
        self.0.iter().map(|field| field.name.clone()).collect()
    }
}

/// A message whose fields stand in for names in a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled<'a> {
    pub(super) fields: &'a Fields,
    /// None if the message is not at hand.
    pub(super) message: Option<&'a [u8]>,
}

impl Values for Filled<'_> {
    /// Returns the value as Rust prints it, so that a handler that makes the same tag of the same
    /// field makes the same text. An absent field has its default.
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let field = self.fields.0.iter().find(|field| *field.name == *name)?;
        text(field.kind, wire::field(self.message?, field.number).ok()?)
    }
}

fn text(kind: Type, value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    let varint = |value: Option<Value<'_>>| match value {
        Some(Value::Varint(value)) => Some(value),
        None => Some(0),
        Some(_) => None,
    };
    let fixed64 = |value: Option<Value<'_>>| match value {
        Some(Value::Fixed64(value)) => Some(value),
        None => Some(0),
        Some(_) => None,
    };
    let fixed32 = |value: Option<Value<'_>>| match value {
        Some(Value::Fixed32(value)) => Some(value),
        None => Some(0),
        Some(_) => None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "numbers of 32 bits are written as 64 and cut when they are read"
    )]
    let narrow = |value: u64| value as u32;
    let signed = |value: u64| (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
    Some(Cow::Owned(match kind {
        Type::String => {
            return match value {
                Some(Value::Bytes(bytes)) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
                None => Some(Cow::Borrowed("")),
                Some(_) => None,
            };
        }
        Type::Bool => (varint(value)? != 0).to_string(),
        Type::Int64 => varint(value)?.cast_signed().to_string(),
        Type::Uint64 => varint(value)?.to_string(),
        Type::Int32 | Type::Enum => narrow(varint(value)?).cast_signed().to_string(),
        Type::Uint32 => narrow(varint(value)?).to_string(),
        Type::Sint32 | Type::Sint64 => signed(varint(value)?).to_string(),
        Type::Fixed64 => fixed64(value)?.to_string(),
        Type::Sfixed64 => fixed64(value)?.cast_signed().to_string(),
        Type::Double => f64::from_bits(fixed64(value)?).to_string(),
        Type::Fixed32 => fixed32(value)?.to_string(),
        Type::Sfixed32 => fixed32(value)?.cast_signed().to_string(),
        Type::Float => f32::from_bits(fixed32(value)?).to_string(),
        Type::Bytes | Type::Group | Type::Message => return None,
    }))
}
