//! `ls`.

use moonforge::{Comparison, Direction, FieldPath, Moonforge, QuerySpec, StoredDoc, Where};
use serde_json::{Value, json};

use crate::edits::path;
use crate::failure::Failure;
use crate::input;
use crate::output::{Outcome, Paint, Table, Text, short};

/// Longer ones first: of `<` and `<=`, both of which begin at one place, the longer is meant.
const SIGNS: [(&str, Comparison); 5] = [
    ("<=", Comparison::Le),
    (">=", Comparison::Ge),
    ("<", Comparison::Lt),
    (">", Comparison::Gt),
    ("=", Comparison::Eq),
];

/// The conditions of `--where`.
pub(super) fn filters(texts: &[String]) -> Result<Vec<Where>, Failure> {
    texts.iter().map(|text| filter(text)).collect()
}

fn filter(text: &str) -> Result<Where, Failure> {
    let Some((field, sign, value)) = input::split_outside_backticks(text, &SIGNS.map(|s| s.0))
    else {
        let message = format!("--where takes FIELD=JSON, this is `{text}`");
        return Err(Failure::usage(message));
    };
    let op = SIGNS
        .iter()
        .find(|s| s.0 == sign)
        .map_or(Comparison::Eq, |s| s.1);
    let value = input::parse(value).map_err(|failure| {
        let message = format!(
            "{} (a text needs quotes: '{field}{sign}\"…\"')",
            failure.message
        );
        Failure { message, ..failure }
    })?;
    Ok(Where {
        path: path(field.trim())?,
        op,
        value,
    })
}

/// The order of `--order`.
pub(super) fn order(texts: &[String]) -> Result<Vec<(FieldPath, Direction)>, Failure> {
    let one = |text: &String| match text.strip_prefix('-') {
        Some(field) => Ok((path(field)?, Direction::Desc)),
        None => Ok((path(text)?, Direction::Asc)),
    };
    texts.iter().map(one).collect()
}

pub(super) async fn ls(forge: &Moonforge, query: &QuerySpec) -> Result<Outcome, Failure> {
    let documents = forge.documents(query.collection.as_str())?;
    let page = documents.list(query).await?;
    let items: Vec<Value> = page.items.iter().map(StoredDoc::to_json).collect();
    let table = Table {
        header: vec!["id", "name", "rev", "updated", ""],
        rows: page.items.iter().map(row).collect(),
        empty: "nothing here",
    };
    let mut outcome = Outcome::new(json!({"items": items, "next": page.next}), table);
    if let Some(next) = &page.next {
        let more = format!("more: --after {next}");
        outcome.text.push(Text::Line(Paint::Faint.on(&more)));
    }
    Ok(outcome)
}

fn row(doc: &StoredDoc) -> Vec<String> {
    let state = match (&doc.deleted, doc.dirty) {
        (Some(_), _) => "deleted",
        (None, true) => "not sent yet",
        (None, false) => "",
    };
    vec![
        doc.doc.id.to_string(),
        short(&Value::from(title(doc)), 60),
        doc.rev.to_string(),
        doc.updated_at.to_string(),
        state.to_owned(),
    ]
}

/// What people call the document.
pub(super) fn title(doc: &StoredDoc) -> &str {
    ["name", "title", "filename", "target"]
        .iter()
        .find_map(|field| doc.fields.get(*field)?.as_str())
        .unwrap_or("")
}
