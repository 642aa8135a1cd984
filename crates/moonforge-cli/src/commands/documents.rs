//! Single documents: put, patch, get, rm, restore.

use moonforge::{Moonforge, Written};
use serde_json::{Value, json};

use crate::edits::EditArgs;
use crate::failure::Failure;
use crate::input;
use crate::output::{Outcome, Paint, Text};

pub(super) async fn put(
    forge: &Moonforge,
    collection: &str,
    document: &str,
    id: Option<String>,
) -> Result<Outcome, Failure> {
    let documents = forge.documents(collection)?;
    let document = input::document(document)?;
    let id = match (id, document.get("id")) {
        (Some(id), _) => id,
        (None, None | Some(Value::Null)) => forge.new_id().to_string(),
        (None, Some(Value::String(id))) => id.clone(),
        (None, Some(_)) => {
            let message = "the document's `id` should be a text";
            return Err(Failure::new("invalid_id", message));
        }
    };
    let written = documents.put(&id, document).await?;
    Ok(outcome(collection, &id, written))
}

pub(super) async fn patch(
    forge: &Moonforge,
    collection: &str,
    id: &str,
    edits: EditArgs,
) -> Result<Outcome, Failure> {
    let documents = forge.documents(collection)?;
    let written = documents.patch(id, None, edits.into_ops()?).await?;
    Ok(outcome(collection, id, written))
}

fn outcome(collection: &str, id: &str, written: Written) -> Outcome {
    let Written {
        rev,
        dirty,
        changed,
    } = written;
    let what = if changed {
        "saved"
    } else {
        "nothing to change in"
    };
    let on_its_way = if dirty {
        ", goes out with the next sync"
    } else {
        ""
    };
    Outcome::new(
        json!({"collection": collection, "id": id, "rev": rev, "dirty": dirty}),
        format!(
            "{what} {}{on_its_way}",
            Paint::Strong.on(&format!("{collection}/{id}"))
        ),
    )
}

pub(super) async fn get(forge: &Moonforge, collection: &str, id: &str) -> Result<Outcome, Failure> {
    let found = forge.documents(collection)?.get_any(id).await?;
    let found = found.ok_or_else(|| {
        Failure::new(
            "not_found",
            format!("there is no document {collection}/{id}"),
        )
    })?;
    let json = found.to_json();
    Ok(Outcome::new(json.clone(), Text::Json(json)))
}

pub(super) async fn rm(forge: &Moonforge, collection: &str, id: &str) -> Result<Outcome, Failure> {
    let affected = forge.documents(collection)?.delete(id).await?;
    Ok(counted(collection, id, affected, "deleted"))
}

pub(super) async fn restore(
    forge: &Moonforge,
    collection: &str,
    id: &str,
) -> Result<Outcome, Failure> {
    let affected = forge.documents(collection)?.restore(id).await?;
    Ok(counted(collection, id, affected, "restored"))
}

fn counted(collection: &str, id: &str, affected: u64, verb: &str) -> Outcome {
    let documents = if affected == 1 {
        "document"
    } else {
        "documents"
    };
    Outcome::new(
        json!({"collection": collection, "id": id, "affected": affected}),
        format!("{verb} {affected} {documents}"),
    )
}
