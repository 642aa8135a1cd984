//! What a write means: the one definition that every remote and the engine share.

use moonforge_model::{Fields, TIMESTAMP_FIELDS, Timestamp, set_at, unset_at, value_at};
use serde_json::{Value, json};

use crate::remote::RemoteWrite;

impl RemoteWrite {
    /// What the document holds after this write over `old`, where the remote's clock said `request_time` when the request
    /// began.
    ///
    /// A masked path that is missing from `fields` is deleted, parents become maps, and `server_time` wins over all else.
    pub fn apply(&self, old: Option<&Fields>, request_time: Timestamp) -> Fields {
        let mut fields = match &self.mask {
            None => self.fields.clone(),
            Some(mask) => {
                let mut merged = old.cloned().unwrap_or_default();
                for path in mask {
                    match value_at(&self.fields, path) {
                        Some(value) => set_at(&mut merged, path, value.clone()),
                        None => drop(unset_at(&mut merged, path)),
                    }
                }
                merged
            }
        };
        for path in &self.server_time {
            let plain = path.segments().len() == 1 && TIMESTAMP_FIELDS.contains(&path.root());
            let text = request_time.to_string();
            let value = if plain {
                Value::String(text)
            } else {
                json!({ "$timestamp": text })
            };
            set_at(&mut fields, path, value);
        }
        fields
    }

    /// Why the paths of this write contradict each other, if they do: one path twice in the mask, or one below another.
    pub fn conflicting_paths(&self) -> Option<String> {
        [self.mask.as_deref().unwrap_or_default(), &self.server_time]
            .into_iter()
            .find_map(|paths| {
                let mut sorted: Vec<_> = paths.iter().collect();
                sorted.sort_unstable();
                // Sorted by segments, a path stands right before the first that it covers.
                sorted
                    .windows(2)
                    .find(|pair| pair[0].covers(pair[1]))
                    .map(|pair| format!("the paths `{}` and `{}` conflict", pair[0], pair[1]))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Precondition;
    use moonforge_model::DocRef;

    fn write(fields: Value, mask: Option<&[&str]>, server_time: &[&str]) -> RemoteWrite {
        let paths = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        RemoteWrite {
            doc: DocRef::parse("scenes", "s").unwrap(),
            fields: fields.as_object().unwrap().clone(),
            mask: mask.map(paths),
            server_time: paths(server_time),
            precondition: Precondition::None,
        }
    }

    fn apply(old: Value, write: &RemoteWrite) -> Value {
        Value::Object(write.apply(old.as_object(), Timestamp::from_millis(1)))
    }

    #[test]
    fn a_mask_changes_what_it_names_and_deletes_what_is_missing() {
        let w = write(
            json!({"a": {"b": 1}, "x": 9}),
            Some(&["a.b", "gone", "n.o"]),
            &[],
        );
        assert_eq!(
            apply(json!({"a": 5, "gone": 1, "kept": 2, "n": {"o": 1}}), &w),
            json!({"a": {"b": 1}, "kept": 2, "n": {}})
        );
    }

    #[test]
    fn without_a_mask_the_document_is_replaced() {
        let w = write(json!({"a": 1}), None, &["updatedAt", "touched.scenes"]);
        assert_eq!(
            apply(json!({"b": 1}), &w),
            json!({"a": 1, "updatedAt": "1970-01-01T00:00:00.001Z",
                   "touched": {"scenes": {"$timestamp": "1970-01-01T00:00:00.001Z"}}})
        );
    }

    #[test]
    fn paths_that_overlap_are_found() {
        assert!(
            write(json!({}), Some(&["a", "b", "a"]), &[])
                .conflicting_paths()
                .is_some()
        );
        assert!(
            write(json!({}), Some(&["a.b", "ab", "a"]), &[])
                .conflicting_paths()
                .is_some()
        );
        assert!(
            write(json!({}), Some(&["a.b", "a.c", "ab"]), &[])
                .conflicting_paths()
                .is_none()
        );
    }
}
