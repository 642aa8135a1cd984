//! Lists: filters, order, and pages that neither skip nor repeat while others write.
//!
//! A page ends with the keys of its last document, and the next begins behind them: never an offset, which slides when a
//! document before it comes or goes. `id` is the last key, so that ties have an order too.

use moonforge_model::{Collection, CollectionConfig, FieldKind, FieldPath, SyncScope, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{QueryBuilder, Sqlite};

use crate::error::StoreError;
use crate::hold::push_scope;
use crate::keyset::{After, decode_cursor, encode_cursor, key, keys_of, push_after};
use crate::open::Store;
use crate::read::StoredDoc;
use crate::table::{Table, column};

/// How a field is compared with a value. Only values of one kind compare: numbers with numbers, texts with texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same value. `null` also stands for an absent field.
    Eq,
    /// Less.
    Lt,
    /// Less or the same.
    Le,
    /// More.
    Gt,
    /// More or the same.
    Ge,
}

/// A condition on a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Where {
    /// The field; `id`, `rev`, `updatedAt` and `deletedAt` too.
    pub path: FieldPath,
    /// How it is compared.
    pub op: Comparison,
    /// With what.
    pub value: Value,
}

/// Up or down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The least first: absent and null, then false, true and numbers, then texts.
    #[default]
    Asc,
    /// The greatest first.
    Desc,
}

/// What to list.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySpec {
    /// The collection.
    pub collection: Collection,
    /// Conditions that all hold.
    pub filters: Vec<Where>,
    /// By what, the weightiest first; `id` and `updatedAt` too. Documents that are equal in all of it come by `id`.
    pub order: Vec<(FieldPath, Direction)>,
    /// How many at most; at least one.
    pub limit: Option<u32>,
    /// Where the page before ended: its [`Page::next`].
    pub after: Option<String>,
    /// Also tombstones, and documents below one.
    pub deleted: bool,
    /// Only what was edited then or later.
    pub since: Option<Timestamp>,
    /// Only what is in this scope, joined or not; nothing of a collection that isn't in it.
    pub scope: Option<SyncScope>,
}

impl QuerySpec {
    /// All live documents of a collection, by id.
    pub fn all(collection: Collection) -> Self {
        Self {
            collection,
            filters: Vec::new(),
            order: Vec::new(),
            limit: None,
            after: None,
            deleted: false,
            since: None,
            scope: None,
        }
    }

    /// The same, within a scope.
    #[must_use]
    pub fn within(self, scope: SyncScope) -> Self {
        Self {
            scope: Some(scope),
            ..self
        }
    }
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The documents, in order.
    pub items: Vec<StoredDoc>,
    /// Where it ended, if there is more.
    pub next: Option<String>,
}

impl Store {
    /// One page of a list.
    pub async fn list(&self, spec: &QuerySpec) -> Result<Page, StoreError> {
        let table = self.table(&spec.collection)?;
        let config = self.config(&spec.collection)?;
        let order = keys_of(&spec.order);
        let after = spec.after.as_deref().map(|text| {
            let after = decode_cursor(text).ok_or(StoreError::BadCursor)?;
            let fits = after.collection == spec.collection
                && after.order == order
                && after.keys.len() == order.len();
            fits.then_some(after.keys).ok_or(StoreError::BadCursor)
        });
        let after = after.transpose()?;

        let mut sql = QueryBuilder::new("SELECT ");
        for (i, (path, _)) in order.iter().enumerate() {
            push_field(&mut sql, table, config, path);
            sql.push(format_args!(" AS k{i}, "));
        }
        sql.push(format_args!("{} WHERE {}", table.stored, table.only_d));
        if !spec.deleted {
            sql.push(format_args!(
                " AND d.deleted_at IS NULL AND NOT {}",
                table.hidden
            ));
        }
        if let Some(since) = spec.since {
            sql.push(" AND d.updated_at >= ")
                .push_bind(since.as_micros());
        }
        if let Some(scope) = &spec.scope {
            sql.push(" AND ");
            push_scope(&mut sql, self.registry(), config, scope);
        }
        for filter in &spec.filters {
            sql.push(" AND ");
            push_filter(&mut sql, table, config, filter);
        }
        if let Some(keys) = &after {
            sql.push(" AND ");
            push_after(&mut sql, &order, keys)?;
        }
        sql.push(" ORDER BY ");
        for (i, (_, direction)) in order.iter().enumerate() {
            let word = match direction {
                Direction::Asc => "ASC",
                Direction::Desc => "DESC",
            };
            let comma = if i > 0 { ", " } else { "" };
            sql.push(format_args!("{comma}k{i} {word}"));
        }
        let limit = spec.limit.map(|n| i64::from(n.max(1)));
        if let Some(n) = limit {
            sql.push(" LIMIT ").push_bind(n + 1);
        }
        let mut rows = sql.build().fetch_all(&self.inner.readers).await?;
        let mut next = None;
        if limit.is_some_and(|n| rows.len() as i64 > n) {
            rows.pop();
            if let Some(last) = rows.last() {
                next = Some(encode_cursor(&After {
                    collection: spec.collection.clone(),
                    keys: (0..order.len())
                        .map(|i| key(last, i))
                        .collect::<Result<_, _>>()?,
                    order,
                })?);
            }
        }
        let items = rows
            .iter()
            .map(|row| self.stored_doc(&spec.collection, row));
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }
}

/// A column beside the body that answers to a name of the wire.
fn beside(path: &FieldPath) -> Option<&'static str> {
    let [name] = path.segments() else { return None };
    Some(match name.as_str() {
        "id" => "d.id",
        "rev" => "d.rev",
        "updatedAt" => "d.updated_at",
        "deletedAt" => "d.deleted_at",
        _ => return None,
    })
}

fn json_path(path: &FieldPath) -> String {
    let steps = path.segments().iter();
    steps.fold("$".to_owned(), |text, name| {
        format!("{text}.{}", Value::from(name.as_str()))
    })
}

fn is_time(config: &CollectionConfig, path: &FieldPath) -> bool {
    path.segments().len() == 1 && config.kind_of(path.root()) == FieldKind::Timestamp
}

fn push_field(
    sql: &mut QueryBuilder<Sqlite>,
    table: &Table,
    config: &CollectionConfig,
    path: &FieldPath,
) {
    let known = match path.segments() {
        [name] => column(table.name, name),
        _ => None,
    };
    if let Some(column) = beside(path) {
        sql.push(column);
    } else if let Some(column) = known {
        sql.push("d.").push(column);
    } else if is_time(config, path) {
        // Without its Z a time's text sorts as the time does, with a fraction or without.
        sql.push("rtrim(json_extract(d.body, ")
            .push_bind(json_path(path))
            .push("), 'Z')");
    } else {
        sql.push("json_extract(d.body, ")
            .push_bind(json_path(path))
            .push(")");
    }
}

fn push_filter(
    sql: &mut QueryBuilder<Sqlite>,
    table: &Table,
    config: &CollectionConfig,
    filter: &Where,
) {
    let Where { path, op, value } = filter;
    let equality = *op == Comparison::Eq;
    let sign = match op {
        Comparison::Eq => " = ",
        Comparison::Lt => " < ",
        Comparison::Le => " <= ",
        Comparison::Gt => " > ",
        Comparison::Ge => " >= ",
    };
    if let Some(column) = beside(path) {
        let comparable = match (column, value) {
            (_, Value::Null) if equality => {
                sql.push(column).push(" IS NULL");
                return;
            }
            ("d.id", Value::String(_)) | ("d.rev", Value::Number(_)) => Some(value.clone()),
            ("d.updated_at" | "d.deleted_at", Value::String(text)) => {
                text.parse().ok().map(|t: Timestamp| t.as_micros().into())
            }
            _ => None,
        };
        match comparable {
            Some(value) => {
                sql.push(column).push(sign);
                push_value(sql, &value);
            }
            None => {
                sql.push("FALSE");
            }
        }
        return;
    }
    let types = match value {
        Value::Null => "'null'",
        Value::Bool(_) => "'true', 'false'",
        Value::Number(_) => "'integer', 'real'",
        Value::String(_) => "'text'",
        Value::Array(_) => "'array'",
        Value::Object(_) => "'object'",
    };
    // SQL would take true for 1 and a list for its text.
    sql.push("coalesce(json_type(d.body, ")
        .push_bind(json_path(path))
        .push(format_args!("), 'null') IN ({types})"));
    match value {
        Value::Null if equality => {}
        Value::Array(_) | Value::Object(_) if equality => {
            sql.push(" AND ");
            push_field(sql, table, config, path);
            sql.push(" = ").push_bind(value.to_string());
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {
            sql.push(" AND FALSE");
        }
        Value::String(text) if is_time(config, path) => {
            let text = text
                .parse()
                .map_or(text.clone(), |t: Timestamp| t.to_string());
            sql.push(" AND ");
            push_field(sql, table, config, path);
            sql.push(sign)
                .push_bind(text.trim_end_matches('Z').to_owned());
        }
        _ => {
            sql.push(" AND ");
            push_field(sql, table, config, path);
            sql.push(sign);
            push_value(sql, value);
        }
    }
}

pub(crate) fn push_value(sql: &mut QueryBuilder<Sqlite>, value: &Value) {
    match value {
        Value::Bool(b) => sql.push_bind(i64::from(*b)),
        Value::Number(n) => match n.as_i64() {
            Some(n) => sql.push_bind(n),
            None => sql.push_bind(n.as_f64()),
        },
        Value::String(text) => sql.push_bind(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => sql.push("NULL"),
    };
}
