//! Is an answer what the document for machines says of it? Every answer that a test looks at is asked.
//!
//! Knows the part of JSON Schema that the document makes use of, and takes anything else for a fault:
//! what is not understood is not checked.

use serde_json::{Map, Value};

use crate::desk::Desk;

/// Returns the document.
fn document() -> Value {
    serde_json::from_str(include_str!("../../src/admin/openapi.json")).unwrap()
}

/// Fails if the document has no such answer of a route. `path` is that of the call, with its query.
pub(crate) fn check(method: &str, path: &str, status: u16, answer: &Value) {
    let document = document();
    let path = path.split('?').next().unwrap();
    let path = match path.rsplit_once('/') {
        Some(("/keys", _)) => "/keys/{id}",
        _ => path,
    };
    let call = &document["paths"][path][method.to_lowercase()];
    let response = resolved(&document, &call["responses"][status.to_string()]);
    let schema = &response["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} has no {status}");
    let mut faults = Vec::new();
    compare(&document, schema, answer, "", &mut faults);
    assert!(
        faults.is_empty(),
        "{method} {path} {status}: {faults:?} in {answer}"
    );
}

/// Returns what a reference leads to; anything else leads to itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// Notes all in which `value`, which stands at `place` of the answer, is another than `schema` says.
fn compare(document: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let schema = resolved(document, schema).as_object().unwrap();
    for (word, wish) in schema {
        let met = match (word.as_str(), value) {
            ("description" | "required", _) | ("items", Value::Null) => true,
            ("type", _) => is_of(wish, value),
            ("enum", _) => wish.as_array().unwrap().contains(value),
            ("minimum", Value::Number(number)) => number.as_f64() >= wish.as_f64(),
            ("additionalProperties", Value::Object(fields)) => {
                wish == false
                    && fields
                        .keys()
                        .all(|name| schema["properties"].get(name).is_some())
            }
            ("properties", Value::Object(fields)) => {
                compare_fields(document, schema, fields, place, faults);
                true
            }
            ("items", Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    compare(document, wish, item, &format!("{place}/{at}"), faults);
                }
                true
            }
            ("oneOf", _) => wish.as_array().unwrap().iter().any(|one| {
                let mut own = Vec::new();
                compare(document, one, value, place, &mut own);
                own.is_empty()
            }),
            _ => false,
        };
        if !met {
            faults.push(format!("{place}: {word} {wish}"));
        }
    }
}

fn compare_fields(
    document: &Value,
    schema: &Map<String, Value>,
    fields: &Map<String, Value>,
    place: &str,
    faults: &mut Vec<String>,
) {
    for name in schema["required"].as_array().unwrap() {
        if !fields.contains_key(name.as_str().unwrap()) {
            faults.push(format!("{place} lacks {name}"));
        }
    }
    for (name, schema) in schema["properties"].as_object().unwrap() {
        if let Some(field) = fields.get(name) {
            compare(document, schema, field, &format!("{place}/{name}"), faults);
        }
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    kinds
        .as_array()
        .map_or_else(|| is(kinds), |kinds| kinds.iter().any(is))
}

/// Without this, an object could have fields of which the document knows nothing.
#[test]
fn every_object_of_an_answer_names_all_its_fields() {
    fn objects<'a>(value: &'a Value, found: &mut Vec<&'a Map<String, Value>>) {
        match value {
            Value::Object(fields) => {
                if fields.get("type").is_some_and(|kind| kind == "object") {
                    found.push(fields);
                }
                fields.values().for_each(|field| objects(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    objects(&document["components"]["schemas"], &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for object in found {
        assert_eq!(object["additionalProperties"], false, "{object:?}");
        assert!(object["required"].is_array(), "{object:?}");
    }
}

#[tokio::test]
async fn the_document_tells_of_every_field_of_a_cache_in_use() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    desk.visit("GET", "/items/1").await;
    desk.visit("PUT", "/items/1").await;
    let products = desk.larder.typed::<u64>("product");
    products.insert("7", 7).await;
    products.get("7").await;
    // Each is compared with the document.
    let stats = desk.look("/stats").await;
    assert_eq!(stats["values"][0]["kind"], "product");
    for path in ["/routes", "/health", "/keys", "/tags", "/invalidations"] {
        desk.look(path).await;
    }
    desk.look("/explain?url=http://shop.test/items/1").await;
}
