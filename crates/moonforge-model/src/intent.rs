//! What an edit means, where a policy says how its field is joined: a number put in place of another means the difference,
//! a list what was added and what was taken out.

use serde_json::{Number, Value};

use crate::patch::PatchOp;
use crate::policy::FieldPolicy;
use crate::schema::CollectionConfig;
use crate::value::{Fields, value_at};

/// Rewrites sets of counters and sets of things into what their author, who saw `seen`, did to them. Applied to `seen` the
/// result is the same. What can't be told so exactly stays as it is.
pub fn as_intents(config: &CollectionConfig, seen: &Fields, ops: Vec<PatchOp>) -> Vec<PatchOp> {
    if config.policies.is_empty() {
        return ops;
    }
    let mut intents = Vec::with_capacity(ops.len());
    for op in ops {
        let meant = match &op {
            PatchOp::Set { path, value } => {
                let before = value_at(seen, path);
                match (config.stated(path), before, value) {
                    (Some(FieldPolicy::Counter), Some(Value::Number(old)), Value::Number(new)) => {
                        difference(old, new).map(|by| {
                            let path = path.clone();
                            vec![PatchOp::Increment { path, by }]
                        })
                    }
                    (Some(FieldPolicy::Set), Some(Value::Array(old)), Value::Array(new)) => {
                        let (added, removed) = changes(old, new);
                        let mut told = old.clone();
                        told.retain(|item| !removed.contains(item));
                        told.extend(added.iter().cloned());
                        let ops = [
                            PatchOp::ArrayRemove {
                                path: path.clone(),
                                values: removed,
                            },
                            PatchOp::ArrayUnion {
                                path: path.clone(),
                                values: added,
                            },
                        ];
                        let says = |op: &PatchOp| match op {
                            PatchOp::ArrayRemove { values, .. }
                            | PatchOp::ArrayUnion { values, .. } => !values.is_empty(),
                            _ => true,
                        };
                        let ops: Vec<PatchOp> = ops.into_iter().filter(says).collect();
                        (told == *new && !ops.is_empty()).then_some(ops)
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        match meant {
            Some(meant) => intents.extend(meant),
            None => intents.push(op),
        }
    }
    intents
}

/// What `new` has more than `old` (each once), and what it lacks.
fn changes(old: &[Value], new: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut added: Vec<Value> = Vec::new();
    for item in new {
        if !old.contains(item) && !added.contains(item) {
            added.push(item.clone());
        }
    }
    let mut removed: Vec<Value> = Vec::new();
    for item in old {
        if !new.contains(item) && !removed.contains(item) {
            removed.push(item.clone());
        }
    }
    (added, removed)
}

/// What has to be added to `old` to come to `new`, exactly.
fn difference(old: &Number, new: &Number) -> Option<Number> {
    match (old.as_i64(), new.as_i64()) {
        (Some(old), Some(new)) => new.checked_sub(old).map(Number::from),
        // A sum of doubles is a double: an integer in its place would be another value.
        _ if new.as_i64().is_some() => None,
        _ => {
            let (old, new) = (old.as_f64()?, new.as_f64()?);
            let by = new - old;
            (old + by == new).then(|| Number::from_f64(by))?
        }
    }
}

/// Three lists as a set of things: of the base what both sides kept, in its order; then what either added, in an order that
/// doesn't depend on the side. `None` is an empty list, and comes out only where one side took the whole list away and
/// nothing is left.
pub(crate) fn join_lists(
    base: Option<&Value>,
    ours: Option<&Value>,
    theirs: Option<&Value>,
) -> Option<Option<Value>> {
    let list = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => Some(items.clone()),
        Some(_) => None,
    };
    let (base, ours_list, theirs_list) = (list(base)?, list(ours)?, list(theirs)?);
    let mut added = changes(&base, &ours_list).0;
    for item in changes(&base, &theirs_list).0 {
        if !added.contains(&item) {
            added.push(item);
        }
    }
    added.sort_by_cached_key(crate::value::canonical);
    let mut joined = base;
    joined.retain(|item| ours_list.contains(item) && theirs_list.contains(item));
    joined.extend(added);
    let taken_away = [ours, theirs]
        .iter()
        .any(|v| !matches!(v, Some(Value::Array(_))));
    Some((!joined.is_empty() || !taken_away).then_some(Value::Array(joined)))
}
