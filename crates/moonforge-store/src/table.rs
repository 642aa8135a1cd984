//! Which table holds a collection, and the statements over it.
//!
//! The one place where SQL is put together from parts: a table's name comes from the list below, a collection's name is
//! checked by `Collection` and quoted.

use std::collections::HashMap;

use moonforge_model::{Collection, CollectionConfig, Registry};

use crate::state::SAVE_META;

/// The statements of one collection.
#[derive(Debug)]
pub(crate) struct Table {
    /// The table, or the table and a condition, as it stands after FROM and WHERE.
    pub(crate) name: &'static str,
    /// `TRUE`, or `collection = '…'` in the table that all collections of apps share.
    pub(crate) only: String,
    /// The same over a row called `d`.
    pub(crate) only_d: String,
    /// Whether something above the row `d` is a tombstone.
    pub(crate) hidden: String,
    /// What [`crate::StoredDoc`] is read from: the columns of `d` and of its metadata `m`, up to WHERE's place.
    pub(crate) stored: String,
    /// Inserts or replaces: id, body, rev, updated_at, deleted_at, delete_id; and what [`SAVE_META`] takes.
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

/// The generated column that holds a field at the top of a document.
pub(crate) fn column(table: &str, field: &str) -> Option<&'static str> {
    Some(match (table, field) {
        ("campaigns", "campaignId") => return None,
        (_, "campaignId") => "campaign_id",
        ("chapters", "adventureId") => "adventure_id",
        ("scenes", "chapterId") => "chapter_id",
        ("campaigns" | "adventures" | "chapters" | "entities" | "encounters", "name") => "name",
        ("scenes" | "sessions", "title") => "title",
        ("adventures" | "chapters" | "scenes", "order") => "sort_order",
        ("entities", "kind") => "kind",
        ("media_assets", "filename") => "filename",
        ("secrets", "target") => "target",
        _ => return None,
    })
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn table_of(collection: &str) -> &'static str {
    own_table(collection).unwrap_or("documents")
}

/// `TRUE`, or the condition that a row called `row` belongs to the collection.
fn only_of(collection: &str, row: &str) -> String {
    match own_table(collection) {
        Some(_) => "TRUE".to_owned(),
        None => format!("{row}.collection = {}", quoted(collection)),
    }
}

/// Whether a document above `row` is a tombstone: its campaign's, its parent's, or the parent's above.
fn hidden(registry: &Registry, config: &CollectionConfig, row: &str, depth: usize) -> String {
    let campaign = (depth == 0 && config.in_campaign).then_some(("campaigns", "campaignId"));
    let parent = config.parent.as_ref();
    let parent = parent.map(|p| (p.collection.as_str(), p.field.as_str()));
    let conditions: Vec<String> = campaign
        .into_iter()
        .chain(parent)
        .filter_map(|(collection, field)| {
            let above = registry.get(collection)?;
            let alias = format!("p{depth}");
            // Nothing stops an app from registering parents in a ring.
            let further = match depth {
                8.. => "FALSE".to_owned(),
                _ => hidden(registry, above, &alias, depth + 1),
            };
            let key = match column(table_of(config.name.as_str()), field) {
                Some(column) => format!("{row}.{column}"),
                None => {
                    let path = format!("$.{}", serde_json::Value::from(field));
                    format!("json_extract({row}.body, {})", quoted(&path))
                }
            };
            Some(format!(
                "EXISTS (SELECT 1 FROM {} {alias} WHERE {} AND {alias}.id = {key} \
                 AND ({alias}.deleted_at IS NOT NULL OR {further}))",
                table_of(collection),
                only_of(collection, &alias),
            ))
        })
        .collect();
    if conditions.is_empty() {
        "FALSE".to_owned()
    } else {
        format!("({})", conditions.join(" OR "))
    }
}

impl Table {
    pub(crate) fn new(registry: &Registry, config: &CollectionConfig) -> Self {
        let collection = &config.name;
        let quoted = quoted(collection.as_str());
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
        let hidden = hidden(registry, config, "d", 0);
        Self {
            name,
            only_d: only_of(collection.as_str(), "d"),
            stored: format!(
                "d.id, d.body, d.rev, d.updated_at, d.deleted_at, d.delete_id, coalesce(m.dirty, 0) AS dirty, \
                 d.deleted_at IS NULL AND {hidden} AS hidden \
                 FROM {name} d LEFT JOIN local_metas m ON m.doc_ref = {quoted} || '/' || d.id"
            ),
            hidden,
            upsert: format!(
                "INSERT INTO {name} ({column}id, body, rev, updated_at, deleted_at, delete_id)
                 VALUES ({value}?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT ({key}) DO UPDATE SET body = excluded.body, rev = excluded.rev,
                     updated_at = excluded.updated_at, deleted_at = excluded.deleted_at,
                     delete_id = excluded.delete_id; {SAVE_META}"
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
                .map(|c| (c.name.clone(), Table::new(registry, c)))
                .collect(),
        )
    }

    pub(crate) fn get(&self, collection: &Collection) -> Option<&Table> {
        self.0.get(collection)
    }
}
