//! Typed values and the fields that are stored for them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::id::DocId;
use crate::value::Fields;
use crate::version::without_reserved;

/// A type whose values are documents of one collection: the built-in ones, and an app's own.
///
/// It serialises to a JSON object with its id in `id`. To keep what it doesn't know, it ends in a flattened map; to read
/// whatever another version wrote, it gives every field but `id` a default.
///
/// ```
/// use moonforge_model::{DocId, Document, Fields, from_fields, to_fields};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Faction {
///     id: DocId,
///     #[serde(default)]
///     name: String,
///     #[serde(flatten)]
///     extra: Fields,
/// }
///
/// impl Document for Faction {
///     const COLLECTION: &'static str = "factions";
///     fn id(&self) -> &DocId {
///         &self.id
///     }
/// }
///
/// let faction = Faction { id: DocId::new("f1")?, name: "Ashen Hand".into(), extra: Fields::new() };
/// let fields = to_fields(&faction)?;
/// assert_eq!(fields["name"], "Ashen Hand");
/// assert!(!fields.contains_key("id"));
/// assert_eq!(from_fields::<Faction>(&faction.id, &fields)?.name, "Ashen Hand");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Document: Serialize + DeserializeOwned {
    /// The collection's name.
    const COLLECTION: &'static str;

    /// The document's id.
    fn id(&self) -> &DocId;
}

/// A value and its stored fields don't fit each other.
#[derive(Debug, thiserror::Error)]
#[error("{collection}/{id} can't be read or written as its type: {source}")]
pub struct DocumentError {
    /// The collection.
    pub collection: &'static str,
    /// The document's id.
    pub id: DocId,
    /// Which field, and why.
    #[source]
    pub source: serde_json::Error,
}

/// The fields of a value as they are stored: without its id and without what the sync protocol keeps.
///
/// Reading is lenient (a time in another zone, a number as 1.0, null for absence), so what comes out may differ in form
/// from what was read. To find out what a person changed, compare the fields of the value as it was read with the fields
/// of the value as it is now, never with the stored ones.
///
/// # Errors
/// The type serialises to something else than an object, or not at all. The built-in types never do that.
pub fn to_fields<T: Document>(document: &T) -> Result<Fields, DocumentError> {
    let fields = match serde_json::to_value(document) {
        Ok(Value::Object(fields)) => Ok(without_reserved(fields)),
        Ok(_) => Err(serde::ser::Error::custom("a document is an object")),
        Err(error) => Err(error),
    };
    fields.map_err(|source| error::<T>(document.id(), source))
}

/// The value that stored fields stand for.
///
/// # Errors
/// A field holds what the type can't. For the built-in types that is what [`check_types`](crate::check_types) refuses.
pub fn from_fields<T: Document>(id: &DocId, fields: &Fields) -> Result<T, DocumentError> {
    let mut fields = without_reserved(fields.clone());
    fields.insert("id".to_owned(), Value::from(id.as_str()));
    serde_json::from_value(Value::Object(fields)).map_err(|source| error::<T>(id, source))
}

fn error<T: Document>(id: &DocId, source: serde_json::Error) -> DocumentError {
    DocumentError {
        collection: T::COLLECTION,
        id: id.clone(),
        source,
    }
}
