//! `import`.

use std::fs::File;
use std::io::{BufReader, Read};

use moonforge::{DocId, DocRef, Moonforge};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::input::{self, Line};
use crate::output::{Outcome, Paint, Progress, Table, Text};

/// Lines that are gone through together; their documents are one transaction.
const BATCH: usize = 500;
/// As many bytes end a batch too, so that large documents don't fill the memory.
const BATCH_BYTES: usize = 8 << 20;
/// Refused lines that are told; others are counted.
const MOST_ERRORS: usize = 1000;
/// Characters of an error's sentence: it may quote what a line holds.
const MOST_OF_A_MESSAGE: usize = 1000;

pub(super) async fn import(
    forge: &Moonforge,
    file: &str,
    collection: Option<&str>,
    json: bool,
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
    let mut progress = Progress::begin("import", length, json);
    let source = progress.over(source);
    let mut import = Import::new(forge, collection);
    let read = import.run(source, file, &mut progress).await;
    progress.end(&format!("ended, {} lines", import.lines));
    match read {
        Ok(()) => Ok(import.outcome()),
        Err(failure) => Err(import.broken_off(failure)),
    }
}

struct Import<'a> {
    forge: &'a Moonforge,
    collection: Option<&'a str>,
    /// Documents of this batch, refused lines of it, and the bytes of both.
    batch: Vec<(u64, DocRef, Value)>,
    refused: Vec<(u64, Failure)>,
    bytes: usize,
    lines: u64,
    imported: u64,
    skipped: u64,
    errors: Vec<(u64, Failure)>,
    errors_left_out: u64,
}

impl<'a> Import<'a> {
    fn new(forge: &'a Moonforge, collection: Option<&'a str>) -> Self {
        Self {
            forge,
            collection,
            batch: Vec::with_capacity(BATCH),
            refused: Vec::new(),
            bytes: 0,
            lines: 0,
            imported: 0,
            skipped: 0,
            errors: Vec::new(),
            errors_left_out: 0,
        }
    }

    async fn run(
        &mut self,
        source: impl Read,
        file: &str,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let mut source = BufReader::with_capacity(256 * 1024, source);
        let mut line = Vec::new();
        loop {
            let read = input::next_line(&mut source, &mut line)
                .map_err(|e| Failure::io(&format!("{file} can't be read"), &e))?;
            if let Line::End = read {
                return self.write().await;
            }
            self.lines += 1;
            progress.at(self.lines);
            let document = match read {
                Line::TooLong => Err(input::too_long("the line")),
                _ if line.iter().all(u8::is_ascii_whitespace) => continue,
                _ => self.read(&line),
            };
            match document {
                Ok((doc, document)) => self.batch.push((self.lines, doc, document)),
                Err(failure) => self.refused.push((self.lines, failure)),
            }
            self.bytes += line.len();
            if self.batch.len() + self.refused.len() >= BATCH || self.bytes >= BATCH_BYTES {
                self.write().await?;
            }
        }
    }

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
        let document = document.into_iter().map(|(name, v)| (own_name(name), v));
        Ok((DocRef::new(collection, id), document.collect()))
    }

    /// Writes what was read, in one transaction.
    async fn write(&mut self) -> Result<(), Failure> {
        let (numbers, documents): (Vec<u64>, Vec<_>) = std::mem::take(&mut self.batch)
            .into_iter()
            .map(|(number, doc, document)| (number, (doc, document)))
            .unzip();
        self.bytes = 0;
        let mut refused = std::mem::take(&mut self.refused);
        if !documents.is_empty() {
            let results = self.forge.put_many(documents).await?;
            for (number, result) in numbers.into_iter().zip(results) {
                match result {
                    Ok(written) if written.changed => self.imported += 1,
                    Ok(_) => self.skipped += 1,
                    Err(error) => refused.push((number, error.into())),
                }
            }
        }
        refused.sort_by_key(|(line, _)| *line);
        for (line, mut failure) in refused {
            if self.errors.len() == MOST_ERRORS {
                self.errors_left_out += 1;
                continue;
            }
            if let Some((end, _)) = failure.message.char_indices().nth(MOST_OF_A_MESSAGE) {
                failure.message.truncate(end);
                failure.message.push('…');
            }
            self.errors.push((line, failure));
        }
        Ok(())
    }

    fn report(&self) -> Map<String, Value> {
        let error = |(line, f): &(u64, Failure)| json!({"line": line, "code": f.code, "message": f.message});
        let mut report = Map::new();
        report.insert("imported".to_owned(), self.imported.into());
        report.insert("skipped".to_owned(), self.skipped.into());
        report.insert("errors".to_owned(), self.errors.iter().map(error).collect());
        if self.errors_left_out > 0 {
            let left_out = self.errors_left_out.into();
            report.insert("errors_left_out".to_owned(), left_out);
        }
        report
    }

    /// Something other than a line was in the way: what was imported before that stays.
    fn broken_off(&self, failure: Failure) -> Failure {
        Failure {
            message: format!(
                "{}; before that {} documents were imported and {} unchanged, which stays",
                failure.message, self.imported, self.skipped
            ),
            report: self.report(),
            ..failure
        }
    }

    fn outcome(&self) -> Outcome {
        let refused = self.errors.len() as u64 + self.errors_left_out;
        let summary = format!(
            "{} imported · {} unchanged · {refused} refused",
            self.imported, self.skipped
        );
        let mut outcome = Outcome::new(Value::Object(self.report()), summary);
        if refused > 0 {
            outcome.exit = 1;
            let row = |(line, f): &(u64, Failure)| vec![line.to_string(), f.message.clone()];
            outcome.text.push(Text::Table(Table {
                header: vec!["line", "why"],
                rows: self.errors.iter().map(row).collect(),
                empty: "",
            }));
            if self.errors_left_out > 0 {
                let more = format!("and {} more", self.errors_left_out);
                outcome.text.push(Text::Line(more));
            }
            let hint = "mend these lines and import again: the others are skipped then";
            outcome.text.push(Text::Line(Paint::Faint.on(hint)));
        }
        outcome
    }
}

/// What a field of a line is called in its document: `export` writes one `$` more where that would be `collection`.
fn own_name(mut name: String) -> String {
    if name.starts_with('$') && name.trim_start_matches('$') == "collection" {
        name.remove(0);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_imported_before_it_broke_off_is_told() {
        struct Breaks(std::io::Cursor<Vec<u8>>);
        impl Read for Breaks {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(std::io::Error::other("the stick was pulled out")),
                    read => Ok(read),
                }
            }
        }
        let mut lines = "oops\n".to_owned();
        for n in 1..BATCH + 10 {
            lines += &format!("{{\"collection\":\"campaigns\",\"id\":\"k{n}\",\"name\":\"x\"}}\n");
        }
        let forge = Moonforge::in_memory().await.unwrap();
        let mut import = Import::new(&forge, None);
        let source = Breaks(std::io::Cursor::new(lines.into_bytes()));
        let failure = import
            .run(source, "x.jsonl", &mut Progress::Quiet)
            .await
            .unwrap_err();
        let failure = import.broken_off(failure);
        assert_eq!(failure.code, "io");
        assert_eq!(failure.report["imported"], BATCH as u64 - 1);
        assert_eq!(failure.report["errors"][0]["line"], 1);
        for words in ["pulled out", "499 documents were imported"] {
            assert!(failure.message.contains(words), "{}", failure.message);
        }
        let campaigns = forge.status().await.unwrap().collections;
        let written: u64 = campaigns.values().map(|c| c.documents).sum();
        assert_eq!(written, BATCH as u64 - 1);
    }
}
