//! How a file is written: quotes, flow style, comments, anchors.

use super::super::node::{Content, File, Node, Quotes, Value, raw};
use super::Maker;

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-./".contains(c))
}

impl Maker {
    pub fn texture(&mut self, file: &mut File, level: u32) {
        let Content::Yaml(documents, _) = &mut file.content else {
            return;
        };
        if file.path.rsplit('.').next() == Some("json") {
            return;
        }
        for document in documents.iter_mut() {
            self.look(document, level, 0);
            if level > 0 && self.chance(level * 2) {
                self.anchors(document);
            }
        }
        if level > 0 && self.chance(level) && file.path.contains("/r") {
            // An empty document is none.
            documents.push(raw(self.pick(&["", "# nothing", "null"])));
        }
    }

    fn look(&mut self, node: &mut Node, level: u32, depth: usize) {
        if self.chance(level) {
            node.look.above = Some(
                self.pick(&["a comment", "key: value", "- x", "later"])
                    .to_owned(),
            );
        }
        if self.chance(level) {
            node.look.behind = Some(self.pick(&["why", "{\"a\": 1}", "one # two"]).to_owned());
        }
        match &node.value {
            Value::Text(_) => {
                node.look.quotes = self.pick(&[
                    Quotes::Plain,
                    Quotes::Plain,
                    Quotes::Single,
                    Quotes::Double,
                    Quotes::Literal,
                    Quotes::Folded,
                ]);
            }
            Value::Raw(text)
                if is_word(text)
                    && !["true", "false", "null", "yes", "on", "False"]
                        .contains(&text.as_str())
                    && self.chance(level) =>
            {
                node.look.quotes = self.pick(&[Quotes::Single, Quotes::Double]);
            }
            Value::Inline(_) => {
                node.look.quotes = self.pick(&[
                    Quotes::Literal,
                    Quotes::Literal,
                    Quotes::Literal,
                    Quotes::Double,
                ]);
            }
            Value::List(items) if items.iter().all(|item| item.scalar().is_some()) => {
                node.look.flow = self.chance(level * 3)
            }
            Value::Map(_) if depth > 1 => node.look.flow = self.chance(level),
            _ => {}
        }
        if matches!(node.value, Value::Inline(_)) {
            // What stands in a text keeps its look simple half of the time.
            if self.chance(50) {
                return;
            }
        }
        let flow = node.look.flow;
        for child in node.children_mut() {
            self.look(child, if flow { 0 } else { level }, depth + 1);
        }
    }

    /// Names a value and uses it again.
    fn anchors(&mut self, document: &mut Node) {
        let Value::Map(fields) = &mut document.value else {
            return;
        };
        let Some(at) = fields.iter().position(|(key, _)| key == "metadata") else {
            return;
        };
        let Some(labels) = fields[at].1.get_mut("labels") else {
            return;
        };
        if labels.look.flow {
            return;
        }
        labels.look.anchor = Some("labels".to_owned());
        let mut alias = raw("*labels");
        if self.chance(40) {
            alias = Value::Map(vec![
                ("<<".to_owned(), alias),
                ("more".to_owned(), raw("x")),
            ])
            .into();
        }
        fields[at].1.set("annotations", alias);
    }
}
