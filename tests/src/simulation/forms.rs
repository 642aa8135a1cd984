//! Forms that stand open while others write.

use std::sync::Arc;

use moonforge_store::StoreError;

use super::actions::path;
use super::device::Device;
use super::oracle::Edit;
use super::world::World;

impl World {
    /// Saves what was open on the screen, with one field changed, over whatever came since. False where nothing was open.
    pub(crate) async fn save_form(self: &Arc<Self>, device: &Arc<Device>) -> bool {
        let form = device.form.lock().expect("no panic while held").take();
        let Some((target, read)) = form else {
            return false;
        };
        let unique = self.unique(device);
        let field = match target.collection.as_str() {
            "scenes" | "sessions" => "title",
            "secrets" => "info",
            _ => "name",
        };
        let mut left = read.clone();
        left.insert(field.to_owned(), unique.as_str().into());
        self.oracle
            .lock()
            .expect("no panic while held")
            .written_blindly(&unique);
        let edit = Edit::Set {
            path: path(field),
            seen: read.get(field).cloned(),
            value: unique,
        };
        let at = device.engine().edit_time().await.expect("the store reads");
        match device.store().upsert(target.clone(), read, left, at).await {
            // Deleted meanwhile, or no longer for these eyes.
            Err(StoreError::Deleted(_) | StoreError::NotFound(_) | StoreError::Invalid(_)) => {}
            result => self.note(device, target, edit, result.map(|_| ())),
        }
        true
    }
}
