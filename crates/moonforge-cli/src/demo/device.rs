//! A device of the story.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::TryStreamExt;
use moonforge::{Cloud, Edit, Embedded, FieldPath, Moonforge, SyncReport, ports::RemoteStore};
use serde_json::Value;

use super::network::{Network, Switch};
use crate::failure::Failure;

/// One device: its database, and its way to the cloud.
pub(super) struct Device {
    pub(super) name: &'static str,
    pub(super) forge: Moonforge,
    pub(super) switch: Arc<Switch>,
}

impl Device {
    pub(super) async fn open(name: &'static str, dir: &Path) -> Result<Self, Failure> {
        let switch = Arc::new(Switch::default());
        let way = switch.clone();
        let cloud = Embedded::dir(dir.join("cloud")).uid(Some("gm".to_owned()));
        let cloud = Cloud::from(cloud).decorated(move |cloud| -> Arc<dyn RemoteStore> {
            Arc::new(Network {
                cloud,
                switch: way.clone(),
            })
        });
        let path = dir.join(format!("{name}.db"));
        let forge = Moonforge::builder(path).cloud(cloud).open().await?;
        Ok(Self {
            name,
            forge,
            switch,
        })
    }

    pub(super) fn set_away(&self, away: bool) {
        self.switch.away.store(away, Ordering::Relaxed);
    }

    pub(super) async fn put(&self, doc: (&str, &str), fields: Value) -> Result<(), Failure> {
        self.forge.documents(doc.0)?.put(doc.1, fields).await?;
        Ok(())
    }

    pub(super) async fn patch(&self, doc: (&str, &str), edit: Edit) -> Result<(), Failure> {
        let documents = self.forge.documents(doc.0)?;
        documents.patch(doc.1, None, [edit]).await?;
        Ok(())
    }

    /// What this device shows at a path of a document, tombstones included; null where there is nothing.
    pub(super) async fn value(&self, doc: (&str, &str), path: &str) -> Result<Value, Failure> {
        let found = self.forge.documents(doc.0)?.get_any(doc.1).await?;
        let path: FieldPath = path
            .parse()
            .map_err(|_| Failure::new("invalid_path", path))?;
        let value = found.and_then(|doc| {
            let mut at = Value::Object(doc.fields);
            for name in path.segments() {
                at = at.get_mut(name)?.take();
            }
            Some(at)
        });
        Ok(value.unwrap_or_default())
    }

    pub(super) async fn sync(&self) -> Result<SyncReport, Failure> {
        Ok(self.forge.sync_now().await?)
    }

    /// All that this device shows.
    pub(super) async fn export(&self) -> Result<Vec<Value>, Failure> {
        Ok(self.forge.export(None)?.try_collect().await?)
    }
}
