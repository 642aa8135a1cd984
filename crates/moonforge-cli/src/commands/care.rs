//! `doctor`, `backup` and `migrate`.

use std::path::Path;

use moonforge::{Finding, MigrationReport, Moonforge};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Outcome, Paint, Table, Text};

pub(super) async fn doctor(forge: &Moonforge, repair: bool) -> Result<Outcome, Failure> {
    let findings = match repair {
        true => forge.repair().await?,
        false => forge.doctor().await?,
    };
    Ok(health(&findings))
}

/// What is wrong with a database that is too damaged to be opened.
pub(super) async fn examine(path: &Path, refused: Failure) -> Result<Outcome, Failure> {
    let findings = Moonforge::examine(path).await?;
    if findings.is_empty() {
        return Err(refused);
    }
    Ok(health(&findings))
}

fn health(findings: &[Finding]) -> Outcome {
    let ok = findings.iter().all(|f| f.repaired);
    let items: Vec<Value> = findings
        .iter()
        .map(|f| json!({"code": f.code, "message": f.message, "repaired": f.repaired}))
        .collect();
    let state = match (ok, findings.is_empty()) {
        (_, true) => Paint::Good.on("nothing wrong"),
        (true, false) => Paint::Good.on("mended"),
        (false, _) => Paint::Warn.on("something needs a look"),
    };
    let mut outcome = Outcome::new(json!({"ok": ok, "findings": items}), state);
    if !findings.is_empty() {
        let row = |f: &Finding| {
            let repaired = if f.repaired { "mended" } else { "" };
            vec![f.code.to_owned(), f.message.clone(), repaired.to_owned()]
        };
        outcome.text.push(Text::Table(Table {
            header: vec!["code", "what", ""],
            rows: findings.iter().map(row).collect(),
            empty: "",
        }));
    }
    outcome
}

pub(super) async fn backup(forge: &Moonforge, path: &Path) -> Result<Outcome, Failure> {
    let bytes = forge.backup(path).await?;
    let shown = path.display().to_string();
    let text = format!("{shown} holds a copy, {bytes} bytes");
    Ok(Outcome::new(json!({"path": shown, "bytes": bytes}), text))
}

/// What opening the database has done.
pub(super) async fn migrate(forge: &Moonforge, path: &Path) -> Result<Outcome, Failure> {
    match forge.migrated() {
        Some(report) => Ok(migration(report, "has been brought")),
        None => plan(path).await,
    }
}

/// What opening it would do.
pub(super) async fn plan(path: &Path) -> Result<Outcome, Failure> {
    let report = Moonforge::plan_migration(path).await?;
    Ok(migration(&report, "would be brought"))
}

fn migration(report: &MigrationReport, verb: &str) -> Outcome {
    let backup = report
        .backup
        .as_ref()
        .map(|path| path.display().to_string());
    let text = if report.from == report.to {
        format!("the database has the newest format, {}", report.to)
    } else {
        let copy = backup
            .as_ref()
            .map(|path| format!("; {path} holds the old one"));
        format!(
            "the database {verb} from format {} to {}: {} documents, {} edits not sent yet{}",
            report.from,
            report.to,
            report.documents,
            report.outbox,
            copy.unwrap_or_default()
        )
    };
    Outcome::new(
        json!({
            "from": report.from,
            "to": report.to,
            "backup": backup,
            "documents": report.documents,
            "dirty": report.dirty,
            "outbox": report.outbox,
        }),
        text,
    )
}
