//! Reading and changing JSON values by path, and a canonical text form to compare them by.

use serde_json::{Map, Value};

use crate::path::FieldPath;

/// A document's fields, or any JSON object.
pub type Fields = Map<String, Value>;

/// The value at `path`, if every step of it is there.
pub fn value_at<'a>(fields: &'a Fields, path: &FieldPath) -> Option<&'a Value> {
    let (first, rest) = path.segments().split_first()?;
    rest.iter().try_fold(fields.get(first)?, |value, name| {
        value.as_object()?.get(name)
    })
}

/// What stands at `path`, or above it where no map does: it gives way to a value that is put at `path`.
pub fn standing<'v>(fields: &'v Fields, path: &FieldPath) -> (FieldPath, Option<&'v Value>) {
    std::iter::successors(path.parent(), FieldPath::parent)
        .find_map(|above| {
            let there = value_at(fields, &above)?;
            let blocks = !there.is_object() && !there.is_null();
            blocks.then_some((above, Some(there)))
        })
        .unwrap_or_else(|| (path.clone(), value_at(fields, path)))
}

/// Puts `value` at `path`. Parents that are missing, or aren't maps, become maps: what Firestore does with a mask.
pub fn set_at(fields: &mut Fields, path: &FieldPath, value: Value) {
    let Some((last, parents)) = path.segments().split_last() else {
        return;
    };
    let mut map = fields;
    for name in parents {
        let slot = map.entry(name.clone()).or_insert(Value::Null);
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        let Value::Object(next) = slot else { return };
        map = next;
    }
    map.insert(last.clone(), value);
}

/// Takes away what is at `path`, and says what it was. Parents stay, also when they become empty.
pub fn unset_at(fields: &mut Fields, path: &FieldPath) -> Option<Value> {
    let (last, parents) = path.segments().split_last()?;
    let mut map = fields;
    for name in parents {
        map = map.get_mut(name)?.as_object_mut()?;
    }
    map.remove(last)
}

/// A text that is equal for equal values, whatever the order of keys: the last resort of a tie.
pub fn canonical(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<_> = map.keys().collect();
                keys.sort_unstable();
                out.push('{');
                for (i, key) in keys.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    write(&map[key], out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(text: &str) -> FieldPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_set_makes_its_parents() {
        let mut fields = Fields::new();
        set_at(&mut fields, &path("a.b"), json!(1));
        set_at(&mut fields, &path("a.b.c"), json!(2));
        assert_eq!(Value::Object(fields), json!({"a": {"b": {"c": 2}}}));
    }

    #[test]
    fn an_unset_keeps_empty_parents() {
        let mut fields = json!({"a": {"b": 1}}).as_object().unwrap().clone();
        assert_eq!(unset_at(&mut fields, &path("a.b")), Some(json!(1)));
        assert_eq!(unset_at(&mut fields, &path("x.y")), None);
        assert_eq!(Value::Object(fields), json!({"a": {}}));
    }

    #[test]
    fn canonical_form_ignores_the_order_of_keys() {
        let a: Value = serde_json::from_str(r#"{"b":1,"a":[{"d":1.0,"c":null}]}"#).unwrap();
        assert_eq!(canonical(&a), r#"{"a":[{"c":null,"d":1.0}],"b":1}"#);
    }
}
