//! `scopes`.

use moonforge::{Joined, Moonforge, ScopeChange, SyncScope};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Outcome, Table, printable};

pub(super) async fn ls(forge: &Moonforge) -> Result<Outcome, Failure> {
    let joined = forge.scopes().await?;
    let items: Vec<Value> = joined.iter().map(item).collect();
    let table = Table {
        header: vec!["scope", "documents", "edited", "last in step"],
        rows: joined.iter().map(row).collect(),
        empty: "this device holds everything that its account may see",
    };
    Ok(Outcome::new(json!({ "items": items }), table))
}

fn item(joined: &Joined) -> Value {
    json!({
        "scope": joined.scope.to_string(),
        "name": joined.scope.name(),
        "keys": joined.scope.keys(),
        "documents": joined.documents,
        "dirty": joined.dirty,
        "joined_at": joined.joined_at,
        "last_synced_at": joined.synced_at,
    })
}

fn row(joined: &Joined) -> Vec<String> {
    let synced = joined.synced_at.map(|at| at.to_string());
    vec![
        printable(&joined.scope.to_string()),
        joined.documents.to_string(),
        joined.dirty.to_string(),
        synced.unwrap_or_else(|| "never".to_owned()),
    ]
}

pub(super) async fn join(forge: &Moonforge, scope: &SyncScope) -> Result<Outcome, Failure> {
    let change = forge.join(scope).await?;
    let said = match change.changed {
        true => "joined: the next sync fetches it",
        false => "was joined already",
    };
    Ok(outcome(scope, change, said))
}

pub(super) async fn leave(forge: &Moonforge, scope: &SyncScope) -> Result<Outcome, Failure> {
    let change = forge.leave(scope).await?;
    if !change.changed {
        let message =
            format!("this device doesn't hold the scope `{scope}`: see `moonforge scopes ls`");
        return Err(Failure::new("not_joined", message));
    }
    let said = match forge.scopes().await?.is_empty() {
        false => "left",
        true => "left: the next sync fetches everything, as no scope limits this device",
    };
    Ok(outcome(scope, change, said))
}

fn outcome(scope: &SyncScope, change: ScopeChange, said: &str) -> Outcome {
    let ScopeChange {
        changed,
        removed,
        waiting,
    } = change;
    let mut text = format!("{} {said}", printable(&scope.to_string()));
    if removed > 0 {
        text.push_str(&format!("; {removed} documents went from this device"));
    }
    if waiting > 0 {
        text.push_str(&format!("; {waiting} go once their edits are sent"));
    }
    let json = json!({
        "scope": scope.to_string(),
        "changed": changed,
        "removed": removed,
        "waiting": waiting,
    });
    Outcome::new(json, text)
}
