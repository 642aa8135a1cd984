//! What a query's parts mean: the one definition for remotes that have no server to ask.

use moonforge_model::{Fields, set_at, value_at};
use serde_json::Value;

use crate::remote::{Filter, RemoteQuery};

impl Filter {
    /// Whether a document with these fields matches.
    pub fn holds(&self, fields: &Fields) -> bool {
        let text = |path| value_at(fields, path).and_then(Value::as_str);
        match self {
            Filter::Equals(path, value) => text(path) == Some(value),
            Filter::In(path, values) => text(path).is_some_and(|t| values.iter().any(|v| v == t)),
            Filter::Contains(path, value) => value_at(fields, path)
                .and_then(Value::as_array)
                .is_some_and(|items| items.iter().any(|item| item.as_str() == Some(value))),
        }
    }
}

impl RemoteQuery {
    /// Most values that one `In` takes.
    pub const MAX_IN: usize = 30;

    /// Why no remote answers this query, if so: an `In` of none or of more than [`Self::MAX_IN`], or a position in
    /// another order than the query's.
    pub fn contradiction(&self) -> Option<String> {
        let in_size = self.filters.iter().find_map(|filter| match filter {
            Filter::In(path, values) if !(1..=Self::MAX_IN).contains(&values.len()) => {
                Some(format!("IN on `{path}` has {} values", values.len()))
            }
            _ => None,
        });
        in_size.or_else(|| {
            let (at, _) = self.after.as_ref()?;
            (at.is_some() != self.is_by_updated_at())
                .then(|| "the position has another number of values than the order".to_owned())
        })
    }

    /// What `select` leaves of a document's fields.
    pub fn project(&self, fields: Fields) -> Fields {
        let Some(paths) = &self.select else {
            return fields;
        };
        paths.iter().fold(Fields::new(), |mut selected, path| {
            if let Some(value) = value_at(&fields, path) {
                set_at(&mut selected, path, value.clone());
            }
            selected
        })
    }
}
