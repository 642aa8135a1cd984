//! Which table holds a collection, and the statements over it.
//!
//! The one place where SQL is put together from parts: a table's name comes from the list below, a collection's name is
//! checked by `Collection` and quoted.

use std::collections::HashMap;

use moonforge_model::{Collection, Registry};

/// The statements of one collection.
#[derive(Debug)]
pub(crate) struct Table {
    /// The table, or the table and a condition, as it stands after FROM and WHERE.
    pub(crate) name: &'static str,
    /// `TRUE`, or `collection = '…'` in the table that all collections of apps share.
    pub(crate) only: String,
    /// Inserts or replaces: id, body, rev, updated_at, deleted_at, delete_id.
    pub(crate) upsert: String,
    /// Deletes by id.
    pub(crate) delete: String,
    /// Loads row and metadata of the ids in a JSON array.
    pub(crate) load: String,
}

/// The tables of all registered collections.
#[derive(Debug)]
pub(crate) struct Tables(HashMap<Collection, Table>);

fn own_table(collection: &str) -> Option<&'static str> {
    Some(match collection {
        "campaigns" => "campaigns",
        "adventures" => "adventures",
        "chapters" => "chapters",
        "scenes" => "scenes",
        "entities" => "entities",
        "encounters" => "encounters",
        "sessions" => "sessions",
        "mediaAssets" => "media_assets",
        "secrets" => "secrets",
        _ => return None,
    })
}

impl Table {
    fn new(collection: &Collection) -> Self {
        let quoted = format!("'{}'", collection.as_str().replace('\'', "''"));
        let own = own_table(collection.as_str());
        let name = own.unwrap_or("documents");
        let (only, column, value, key) = match own {
            Some(_) => ("TRUE".to_owned(), "", String::new(), "id"),
            None => (
                format!("collection = {quoted}"),
                "collection, ",
                format!("{quoted}, "),
                "collection, id",
            ),
        };
        let on = if own.is_some() {
            String::new()
        } else {
            format!("AND d.collection = {quoted}")
        };
        Self {
            name,
            upsert: format!(
                "INSERT INTO {name} ({column}id, body, rev, updated_at, deleted_at, delete_id)
                 VALUES ({value}?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT ({key}) DO UPDATE SET body = excluded.body, rev = excluded.rev,
                     updated_at = excluded.updated_at, deleted_at = excluded.deleted_at,
                     delete_id = excluded.delete_id"
            ),
            delete: format!("DELETE FROM {name} WHERE id = ?1 AND {only}"),
            load: format!(
                "SELECT j.value AS id, d.body, d.deleted_at, d.delete_id, m.last_synced_at,
                        m.base_state, m.synced_update_time, m.envelope, m.base, m.settled
                 FROM json_each(?1) j
                 LEFT JOIN {name} d ON d.id = j.value {on}
                 LEFT JOIN local_metas m ON m.doc_ref = {quoted} || '/' || j.value"
            ),
            only,
        }
    }
}

impl Tables {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self(
            registry
                .iter()
                .map(|c| (c.name.clone(), Table::new(&c.name)))
                .collect(),
        )
    }

    pub(crate) fn get(&self, collection: &Collection) -> Option<&Table> {
        self.0.get(collection)
    }
}
