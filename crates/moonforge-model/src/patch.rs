//! Edits as intents, and the two ways to get them: applying, and diffing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::path::FieldPath;
use crate::schema::{CollectionConfig, RESERVED_FIELDS};
use crate::text::{Side, merge_text};
use crate::value::{Fields, set_at, unset_at, value_at};

/// One edit of one path. An intent, not a result: an increment stays an increment until it is at the remote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum PatchOp {
    /// The path has this value now.
    Set {
        /// Where.
        path: FieldPath,
        /// What.
        value: Value,
    },
    /// The path is gone.
    Unset {
        /// Where.
        path: FieldPath,
    },
    /// A number is added; what is absent counts as 0.
    Increment {
        /// Where.
        path: FieldPath,
        /// How much; may be negative.
        by: Number,
    },
    /// Values are appended to a list that lacks them.
    ArrayUnion {
        /// Where.
        path: FieldPath,
        /// What to add.
        values: Vec<Value>,
    },
    /// Values are taken out of a list, each wherever it occurs.
    ArrayRemove {
        /// Where.
        path: FieldPath,
        /// What to take out.
        values: Vec<Value>,
    },
    /// A long text was edited: merged by line with what others wrote.
    Text {
        /// Where.
        path: FieldPath,
        /// What its author saw.
        from: String,
        /// What its author left.
        to: String,
    },
}

/// Why a patch can't be applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// An increment of what is no number.
    #[error("`{0}` is not a number, so it can't be incremented")]
    NotANumber(FieldPath),
    /// A union or removal on what is no list.
    #[error("`{0}` is not a list")]
    NotAList(FieldPath),
    /// The sum has no place in 64 bits, or isn't finite.
    #[error("`{0}` would leave the range of numbers")]
    OutOfRange(FieldPath),
    /// Two operations of one patch touch the same place.
    #[error("`{0}` and `{1}` touch the same place in one patch")]
    Overlapping(FieldPath, FieldPath),
    /// The path belongs to the sync protocol.
    #[error("`{0}` is kept by the sync protocol and can't be written")]
    Reserved(FieldPath),
}

impl PatchError {
    /// A stable code for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotANumber(_) => "not_a_number",
            Self::NotAList(_) => "not_a_list",
            Self::OutOfRange(_) => "number_out_of_range",
            Self::Overlapping(..) => "overlapping_paths",
            Self::Reserved(_) => "reserved_field",
        }
    }
}

impl PatchOp {
    /// The path that it touches.
    pub fn path(&self) -> &FieldPath {
        match self {
            Self::Set { path, .. }
            | Self::Unset { path }
            | Self::Increment { path, .. }
            | Self::ArrayUnion { path, .. }
            | Self::ArrayRemove { path, .. }
            | Self::Text { path, .. } => path,
        }
    }

    /// Whether it decides the value at its path alone, whatever stood there before.
    pub fn replaces(&self) -> bool {
        matches!(self, Self::Set { .. } | Self::Unset { .. })
    }

    /// Adds a number at a path.
    pub fn increment(path: FieldPath, by: impl Into<Number>) -> Self {
        Self::Increment {
            path,
            by: by.into(),
        }
    }
}

/// Refuses a patch whose operations touch the same place or the protocol's fields.
pub fn check_patch(ops: &[PatchOp]) -> Result<(), PatchError> {
    for (i, op) in ops.iter().enumerate() {
        let root = op.path().root();
        if RESERVED_FIELDS.contains(&root) || root == "id" {
            return Err(PatchError::Reserved(op.path().clone()));
        }
        if let Some(other) = ops[..i].iter().find(|o| o.path().overlaps(op.path())) {
            return Err(PatchError::Overlapping(
                other.path().clone(),
                op.path().clone(),
            ));
        }
    }
    Ok(())
}

/// Applies one operation. On an error nothing changed.
pub fn apply(fields: &mut Fields, op: &PatchOp) -> Result<(), PatchError> {
    match op {
        PatchOp::Set { path, value } => set_at(fields, path, value.clone()),
        PatchOp::Unset { path } => {
            unset_at(fields, path);
        }
        PatchOp::Increment { path, by } => {
            let sum = match value_at(fields, path) {
                None | Some(Value::Null) => by.clone(),
                Some(Value::Number(old)) => {
                    add(old, by).ok_or_else(|| PatchError::OutOfRange(path.clone()))?
                }
                Some(_) => return Err(PatchError::NotANumber(path.clone())),
            };
            set_at(fields, path, Value::Number(sum));
        }
        PatchOp::ArrayUnion { path, values } => {
            let mut list = list_at(fields, path)?;
            for value in values {
                if !list.contains(value) {
                    list.push(value.clone());
                }
            }
            set_at(fields, path, Value::Array(list));
        }
        PatchOp::ArrayRemove { path, values } => {
            let mut list = list_at(fields, path)?;
            list.retain(|item| !values.contains(item));
            set_at(fields, path, Value::Array(list));
        }
        PatchOp::Text { path, from, to } => {
            let text = match value_at(fields, path) {
                Some(Value::String(now)) if now != from => {
                    merge_text(from, to, now, Side::Ours).text
                }
                _ => to.clone(),
            };
            set_at(fields, path, Value::String(text));
        }
    }
    Ok(())
}

fn list_at(fields: &Fields, path: &FieldPath) -> Result<Vec<Value>, PatchError> {
    match value_at(fields, path) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(_) => Err(PatchError::NotAList(path.clone())),
    }
}

/// Integers stay integers; a double on either side makes a double.
fn add(a: &Number, b: &Number) -> Option<Number> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.checked_add(b).map(Number::from),
        _ => Number::from_f64(a.as_f64()? + b.as_f64()?),
    }
}

/// The operations that turn `old` into `new`, maps member by member, so that others' members stay.
pub fn diff(config: &CollectionConfig, old: &Fields, new: &Fields) -> Vec<PatchOp> {
    let mut ops = Vec::new();
    diff_map(config, None, Some(old), new, true, &mut ops);
    ops
}

/// The operations that bring what is present in `partial` into `old`, merging maps at every depth: absence unsets nothing.
pub fn diff_present(config: &CollectionConfig, old: &Fields, partial: &Fields) -> Vec<PatchOp> {
    let mut ops = Vec::new();
    diff_map(config, None, Some(old), partial, false, &mut ops);
    ops
}

/// A set of a long text that had another one becomes an edit of it, which merges by line.
pub fn as_text_edit(config: &CollectionConfig, fields: &Fields, op: PatchOp) -> PatchOp {
    match op {
        PatchOp::Set {
            path,
            value: Value::String(to),
        } if config.is_text(&path) => match value_at(fields, &path) {
            Some(Value::String(from)) => PatchOp::Text {
                from: from.clone(),
                path,
                to,
            },
            _ => PatchOp::Set {
                path,
                value: Value::String(to),
            },
        },
        op => op,
    }
}

fn diff_map(
    config: &CollectionConfig,
    at: Option<&FieldPath>,
    old: Option<&Map<String, Value>>,
    new: &Map<String, Value>,
    whole: bool,
    ops: &mut Vec<PatchOp>,
) {
    let path_of = |key: &str| at.map_or_else(|| FieldPath::field(key), |p| p.child(key));
    for (key, value) in new {
        let path = path_of(key);
        let before = old.and_then(|o| o.get(key));
        if before == Some(value) {
            continue;
        }
        // A map is descended into also where it is new, so that two people who each add a first member keep both. A
        // new entry of a keyed map is one thing.
        let descend = match (before, value) {
            (None, Value::Object(map)) => {
                !map.is_empty() && !is_tagged(map) && !is_keyed_entry(config, &path)
            }
            (Some(Value::Object(before)), Value::Object(map)) => {
                !is_tagged(before) && !is_tagged(map)
            }
            _ => false,
        };
        match value {
            Value::Object(map) if descend => {
                diff_map(
                    config,
                    Some(&path),
                    before.and_then(Value::as_object),
                    map,
                    whole,
                    ops,
                );
            }
            _ => {
                let mut seen = Fields::new();
                if let Some(before) = before.filter(|_| config.is_text(&path)) {
                    set_at(&mut seen, &path, before.clone());
                }
                ops.push(as_text_edit(
                    config,
                    &seen,
                    PatchOp::Set {
                        path,
                        value: value.clone(),
                    },
                ));
            }
        }
    }
    if whole && let Some(old) = old {
        ops.extend(
            old.keys()
                .filter(|key| !new.contains_key(*key))
                .map(|key| PatchOp::Unset { path: path_of(key) }),
        );
    }
}

fn is_keyed_entry(config: &CollectionConfig, path: &FieldPath) -> bool {
    config.keyed_entry(path).as_ref() == Some(path)
}

/// Whether a map stands for a value that travels as it came from the remote: `{"$wire": {"…Value": …}}`.
pub fn is_raw(map: &Map<String, Value>) -> bool {
    let kind = map.get("$wire").and_then(Value::as_object);
    map.len() == 1
        && kind.is_some_and(|kind| kind.len() == 1 && kind.keys().all(|k| k.ends_with("Value")))
}

/// Whether a map stands for one value that JSON lacks, such as `{"$timestamp": …}`.
pub fn is_tagged(map: &Map<String, Value>) -> bool {
    map.len() == 1
        && map.keys().next().is_some_and(|key| {
            matches!(
                key.as_str(),
                "$timestamp" | "$bytes" | "$geo" | "$ref" | "$double" | "$wire"
            )
        })
}
