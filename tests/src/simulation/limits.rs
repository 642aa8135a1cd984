//! What is too large, and what nobody can read.

use moonforge_model::{DocRef, Fields, PatchOp, value_at};
use serde_json::{Value, json};

use super::oracle::Edit;
use super::world::World;

/// Bytes of a scroll: two of them are more than a document holds, or just not, and more than a megabyte at once.
const SCROLLS: [usize; 3] = [505_000, 510_000, 560_000];

impl World {
    /// A text so long that few of them fit into a document.
    pub(crate) fn scroll(&self, doc: &DocRef, seen: &Fields, unique: &str) -> (PatchOp, Edit) {
        self.in_trouble(doc);
        let path = format!("props.scroll{}", self.rng.below(2));
        let path: moonforge_model::FieldPath = path.parse().expect("a sound path");
        let bytes = SCROLLS[self.rng.below(SCROLLS.len() as u64) as usize];
        let value = format!("{unique}{}", ".".repeat(bytes - unique.len()));
        let set = PatchOp::Set {
            path: path.clone(),
            value: value.as_str().into(),
        };
        let seen = value_at(seen, &path).cloned();
        (set, Edit::Set { path, seen, value })
    }

    /// An operator's console puts what is no text where one belongs: no version of ours can be read from that.
    pub(crate) fn spoil(&self) {
        let documents = self.server.documents();
        let targets: Vec<&DocRef> = documents
            .keys()
            .filter(|d| matches!(d.collection.as_str(), "entities" | "scenes"))
            .collect();
        if targets.is_empty() {
            return;
        }
        let target = targets[self.rng.below(targets.len() as u64) as usize];
        if self.happens("made unreadable") {
            self.log(format!("console spoils {target}"));
            self.in_trouble(target);
            self.summarize(target, json!(7));
        }
    }

    /// What was spoilt is mended.
    pub(crate) fn mend(&self) {
        for (doc, document) in self.server.documents() {
            if document.fields.get("summary") == Some(&json!(7)) {
                self.summarize(&doc, json!("mended"));
            }
        }
    }

    fn summarize(&self, doc: &DocRef, summary: Value) {
        let path = |text: &str| text.parse().expect("a sound path");
        let now = Value::from(self.server.now().to_string());
        self.server.console_patch(
            doc,
            &[
                (path("summary"), Some(summary)),
                (path("updatedAt"), Some(now)),
            ],
        );
    }
}
