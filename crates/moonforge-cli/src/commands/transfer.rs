//! `import` and `export`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use futures_util::StreamExt;
use moonforge::{DocId, DocRef, Moonforge};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::input;
use crate::output::{self, Outcome, Paint, Table, Text};

/// Documents in one transaction.
const BATCH: usize = 500;

struct Import<'a> {
    forge: &'a Moonforge,
    collection: Option<&'a str>,
    batch: Vec<(u64, DocRef, Value)>,
    imported: u64,
    skipped: u64,
    errors: Vec<(u64, Failure)>,
}

pub(super) async fn import(
    forge: &Moonforge,
    file: &str,
    collection: Option<&str>,
) -> Result<Outcome, Failure> {
    if let Some(collection) = collection {
        forge.collection(collection)?;
    }
    let unreadable = |e: std::io::Error| Failure::io(&format!("{file} can't be read"), &e);
    let (source, length): (Box<dyn Read>, Option<u64>) = if file == "-" {
        (Box::new(std::io::stdin()), None)
    } else {
        let opened = File::open(file).map_err(unreadable)?;
        let length = opened.metadata().map_err(unreadable)?.len();
        (Box::new(opened), Some(length))
    };
    let bar = output::bar(length);
    let mut lines = BufReader::with_capacity(256 * 1024, bar.wrap_read(source));
    let mut import = Import {
        forge,
        collection,
        batch: Vec::with_capacity(BATCH),
        imported: 0,
        skipped: 0,
        errors: Vec::new(),
    };
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match import.read(&line) {
            Ok((doc, document)) => import.batch.push((number, doc, document)),
            Err(failure) => import.errors.push((number, failure)),
        }
        if import.batch.len() == BATCH {
            import.write().await?;
        }
    }
    import.write().await?;
    bar.finish_and_clear();
    Ok(import.outcome())
}

impl Import<'_> {
    /// A line as the document that it names.
    fn read(&self, line: &[u8]) -> Result<(DocRef, Value), Failure> {
        let Value::Object(mut document) = input::parse(input::text(line)?)? else {
            let message = "a line is a JSON object";
            return Err(Failure::new("not_a_document", message));
        };
        let collection = match (document.remove("collection"), self.collection) {
            (Some(Value::String(name)), _) => self.forge.collection(&name)?,
            (None, Some(name)) => self.forge.collection(name)?,
            (None, None) => {
                let message = "the line names no collection, and no --collection is given";
                return Err(Failure::new("unknown_collection", message));
            }
            (Some(_), _) => {
                let message = "the line's `collection` should be a text";
                return Err(Failure::new("unknown_collection", message));
            }
        };
        let Some(Value::String(id)) = document.remove("id") else {
            let message = "the line has no `id` of its document";
            return Err(Failure::new("invalid_id", message));
        };
        let id = DocId::new(id).map_err(moonforge::Error::from)?;
        Ok((DocRef::new(collection, id), Value::Object(document)))
    }

    /// Writes what was read, in one transaction.
    async fn write(&mut self) -> Result<(), Failure> {
        let (numbers, documents): (Vec<u64>, Vec<_>) = std::mem::take(&mut self.batch)
            .into_iter()
            .map(|(number, doc, document)| (number, (doc, document)))
            .unzip();
        if documents.is_empty() {
            return Ok(());
        }
        let results = self.forge.put_many(documents).await?;
        for (number, result) in numbers.into_iter().zip(results) {
            match result {
                Ok(written) if written.changed => self.imported += 1,
                Ok(_) => self.skipped += 1,
                Err(error) => self.errors.push((number, error.into())),
            }
        }
        Ok(())
    }

    fn outcome(mut self) -> Outcome {
        self.errors.sort_by_key(|(line, _)| *line);
        let errors: Vec<Value> = self
            .errors
            .iter()
            .map(|(line, f)| json!({"line": line, "code": f.code, "message": f.message}))
            .collect();
        let summary = format!(
            "{} imported · {} unchanged · {} refused",
            self.imported,
            self.skipped,
            errors.len()
        );
        let mut outcome = Outcome::new(
            json!({"imported": self.imported, "skipped": self.skipped, "errors": errors}),
            summary,
        );
        if !self.errors.is_empty() {
            outcome.exit = 1;
            let row = |(line, f): &(u64, Failure)| vec![line.to_string(), f.message.clone()];
            outcome.text.push(Text::Table(Table {
                header: vec!["line", "why"],
                rows: self.errors.iter().map(row).collect(),
                empty: "",
            }));
            let hint = "mend these lines and import again: the others are skipped then";
            outcome.text.push(Text::Line(Paint::Faint.on(hint)));
        }
        outcome
    }
}

pub(super) async fn export(
    forge: &Moonforge,
    collection: Option<&str>,
) -> Result<Outcome, Failure> {
    let mut lines = output::Lines::new();
    let mut documents = std::pin::pin!(forge.export(collection)?);
    while let Some(document) = documents.next().await {
        if !lines.line(&document?)? {
            return Ok(Outcome::streamed());
        }
    }
    lines.end()?;
    Ok(Outcome::streamed())
}
