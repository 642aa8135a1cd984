//! Where a page of a list ended, and how the next one begins behind it.

use moonforge_model::{Collection, FieldPath};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, TypeInfo as _, ValueRef as _};

use crate::error::StoreError;
use crate::query::{Direction, push_value};

/// What a cursor holds: the list that it belongs to and the last document's keys.
#[derive(Serialize, Deserialize)]
pub(crate) struct After {
    pub(crate) collection: Collection,
    pub(crate) order: Vec<(FieldPath, Direction)>,
    pub(crate) keys: Vec<Value>,
}

/// The order with `id` at its end, in the direction of what is before it, so that an index serves both directions.
pub(crate) fn keys_of(order: &[(FieldPath, Direction)]) -> Vec<(FieldPath, Direction)> {
    let id = FieldPath::field("id");
    let mut keys: Vec<_> = order
        .iter()
        .take_while(|(p, _)| *p != id)
        .cloned()
        .collect();
    let last = match order.get(keys.len()) {
        Some((_, direction)) => *direction,
        None => keys.last().map(|k| k.1).unwrap_or_default(),
    };
    keys.push((id, last));
    keys
}

/// Everything behind the given keys: `k0 > v0 OR (k0 IS v0 AND (k1 > v1 OR …))`, with null as the least value.
pub(crate) fn push_after(
    sql: &mut QueryBuilder<Sqlite>,
    order: &[(FieldPath, Direction)],
    keys: &[Value],
) -> Result<(), StoreError> {
    if keys
        .iter()
        .any(|k| k.is_array() || k.is_object() || k.is_boolean())
    {
        return Err(StoreError::BadCursor);
    }
    sql.push("(");
    // Says no more than the rest, in a form by which an index finds the place.
    if let (Some((_, direction)), Some(value)) =
        (order.first(), keys.first().filter(|k| !k.is_null()))
    {
        match direction {
            Direction::Asc => {
                sql.push("k0 >= ");
                push_value(sql, value);
                sql.push(" AND ");
            }
            Direction::Desc => {}
        }
    }
    let last = keys.len().saturating_sub(1);
    for (i, ((_, direction), value)) in order.iter().zip(keys).enumerate() {
        match (direction, value) {
            (Direction::Asc, Value::Null) => {
                sql.push(format_args!("(k{i} IS NOT NULL"));
            }
            (Direction::Asc, value) => {
                sql.push(format_args!("(k{i} > "));
                push_value(sql, value);
            }
            (Direction::Desc, Value::Null) => {
                sql.push("(FALSE");
            }
            (Direction::Desc, value) => {
                sql.push(format_args!("(k{i} IS NULL OR k{i} < "));
                push_value(sql, value);
            }
        }
        if i < last {
            sql.push(format_args!(" OR k{i} IS "));
            push_value(sql, value);
            sql.push(" AND ");
        }
    }
    sql.push(")".repeat(keys.len() + 1));
    Ok(())
}

pub(crate) fn key(row: &SqliteRow, i: usize) -> Result<Value, StoreError> {
    let value = row.try_get_raw(i)?;
    let kind = value.type_info();
    Ok(match kind.name() {
        _ if value.is_null() => Value::Null,
        "INTEGER" => row.try_get::<i64, _>(i)?.into(),
        "REAL" => row.try_get::<f64, _>(i)?.into(),
        _ => row.try_get::<String, _>(i)?.into(),
    })
}

pub(crate) fn encode_cursor(after: &After) -> Result<String, StoreError> {
    use std::fmt::Write as _;
    let text = serde_json::to_string(after).map_err(StoreError::corrupt)?;
    Ok(text.bytes().fold(String::new(), |mut hex, byte| {
        // Writing to a text can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

pub(crate) fn decode_cursor(text: &str) -> Option<After> {
    let digits = text
        .chars()
        .map(|c| c.to_digit(16))
        .collect::<Option<Vec<_>>>()?;
    let pairs = digits.chunks(2);
    let bytes = pairs.map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    serde_json::from_slice(&bytes.collect::<Option<Vec<_>>>()?).ok()
}
