//! Consoles that know nothing of the protocol.

use moonforge_model::DocRef;
use serde_json::{Value, json};

use super::actions::path;
use super::world::World;

impl World {
    /// What an operator does at a console that knows nothing of the protocol.
    pub(crate) fn console(&self) {
        let documents = self.documents_there();
        let children: Vec<&DocRef> = documents
            .keys()
            .filter(|d| d.collection.as_str() != "campaigns")
            .collect();
        if children.is_empty() {
            return;
        }
        let target = children[self.rng.below(children.len() as u64) as usize];
        let choice = self.rng.below(8);
        let kind = match choice {
            2 => "console erases writers",
            3 => "console lowers rev",
            0 | 1 | 4 | 6 => "console writes",
            7 => "console restores an old version",
            _ => "console deletes for good",
        };
        if !self.happens(kind) {
            return;
        }
        let note = Some(Value::from(format!(
            "console-{}",
            self.rng.below(1_000_000)
        )));
        let now = Some(Value::from(self.server.now().to_string()));
        let changes = match choice {
            0 => vec![(path("note"), note)],
            1 => vec![(path("note"), note), (path("updatedAt"), now)],
            2 => vec![(path("writers"), None)],
            3 => vec![(path("rev"), Some(json!(0))), (path("note"), note)],
            4 => vec![
                (path("edited"), None),
                (path("name"), note.clone()),
                (path("title"), note),
            ],
            6 => vec![(path("props.gold"), note), (path("updatedAt"), now)],
            7 => return self.restore_an_old_version(target),
            _ => {
                self.log(format!("console deletes {target}"));
                self.server.console_delete(target);
                return;
            }
        };
        self.log(format!("console writes {target}: {changes:?}"));
        self.server.console_patch(target, &changes);
    }

    /// A document becomes what it was once, `rev`, `writers` and all, as after a backup of the database was restored.
    fn restore_an_old_version(&self, target: &DocRef) {
        let history = self.server.history();
        let versions = history.iter().filter(|a| a.doc == *target);
        let versions: Vec<_> = versions.filter_map(|a| a.fields.as_ref()).collect();
        let old = versions[self.rng.below(versions.len() as u64) as usize];
        self.log(format!("console restores {target} as it was"));
        self.server.console_set(target, old.clone());
    }
}
