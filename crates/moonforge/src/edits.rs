//! Edits of single fields, to be written as [`Documents::patch`](crate::Documents::patch) takes them.

use moonforge_model::{FieldPath, InvalidPath, PatchError, PatchOp};
use serde_json::Value;

use crate::error::Error;

/// One edit of one field. A path that makes no sense is reported by the patch that it stands in.
#[derive(Debug)]
pub struct Edit(Result<PatchOp, Error>);

impl Edit {
    pub(crate) fn into_op(self) -> Result<PatchOp, Error> {
        self.0
    }
}

impl From<PatchOp> for Edit {
    fn from(op: PatchOp) -> Self {
        Self(Ok(op))
    }
}

fn edit(path: &str, make: impl FnOnce(FieldPath) -> Result<PatchOp, Error>) -> Edit {
    let path = path.parse().map_err(|e: InvalidPath| Error::from(e));
    Edit(path.and_then(make))
}

/// Sets the value at `path` whole. Members of a map are addressed with dots: `props.torches`.
pub fn set(path: &str, value: impl Into<Value>) -> Edit {
    let value = value.into();
    edit(path, |path| Ok(PatchOp::Set { path, value }))
}

/// Takes away what is at `path`.
pub fn unset(path: &str) -> Edit {
    edit(path, |path| Ok(PatchOp::Unset { path }))
}

/// Adds a number, which may be negative; what is absent counts as 0. Increments of several devices all count.
pub fn increment(path: &str, by: impl Into<Value>) -> Edit {
    let by = by.into();
    edit(path, |path| match by {
        Value::Number(by) => Ok(PatchOp::Increment { path, by }),
        _ => Err(PatchError::NotANumber(path).into()),
    })
}

/// Appends values to a list that lacks them.
pub fn array_union<V: Into<Value>>(path: &str, values: impl IntoIterator<Item = V>) -> Edit {
    let values = values.into_iter().map(Into::into).collect();
    edit(path, |path| Ok(PatchOp::ArrayUnion { path, values }))
}

/// Takes values out of a list, wherever they occur.
pub fn array_remove<V: Into<Value>>(path: &str, values: impl IntoIterator<Item = V>) -> Edit {
    let values = values.into_iter().map(Into::into).collect();
    edit(path, |path| Ok(PatchOp::ArrayRemove { path, values }))
}
