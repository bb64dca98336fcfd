//! A check of values against a JSON Schema, as far as ours needs it. A keyword that it does not know is an error, so
//! nothing in a schema is skipped.

use serde_json::Value;

/// Texts that say nothing about a value.
const TEXTS: [&str; 3] = ["$schema", "title", "description"];

/// Returns why a value does not follow the schema.
pub(crate) fn check(root: &Value, value: &Value) -> Result<(), String> {
    follow(root, root, value, "")
}

fn follow(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let keywords = schema.as_object().unwrap_or_else(|| panic!("{at}: {schema} is no schema"));
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            text if TEXTS.contains(&text) => rule.is_string(),
            "$defs" => true,
            "$ref" => {
                let name = rule.as_str().and_then(|path| path.strip_prefix("#/$defs/")).unwrap();
                follow(root, &root["$defs"][name], value, at)?;
                true
            }
            "const" => value == rule,
            "enum" => array(rule).contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_of(value, one)),
                one => is_of(value, one),
            },
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "oneOf" | "anyOf" => {
                let held = array(rule).iter().filter(|one| follow(root, one, value, at).is_ok()).count();
                if keyword == "oneOf" { held == 1 } else { held > 0 }
            }
            "required" => value
                .as_object()
                .is_none_or(|object| array(rule).iter().all(|key| object.contains_key(key.as_str().unwrap()))),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    follow(root, rule, item, &format!("{at}/{index}"))?;
                }
                true
            }
            "properties" => {
                for (key, member) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = rule.get(key) {
                        follow(root, schema, member, &format!("{at}/{key}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let others = value.as_object().into_iter().flatten();
                for (key, member) in others.filter(|(key, _)| !known.is_some_and(|known| known.contains_key(*key))) {
                    match rule {
                        Value::Bool(false) => return Err(format!("{at}/{key}: not in the schema")),
                        rule => follow(root, rule, member, &format!("{at}/{key}"))?,
                    }
                }
                true
            }
            other => panic!("{at}: the keyword {other} is not known here"),
        };
        if !holds {
            return Err(format!("{at}: {keyword} {rule} does not hold for {value}"));
        }
    }
    Ok(())
}

fn array(rule: &Value) -> &Vec<Value> {
    rule.as_array().unwrap_or_else(|| panic!("{rule} is no array"))
}

fn is_of(value: &Value, of: &Value) -> bool {
    match of.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}
