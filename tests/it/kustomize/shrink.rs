//! Trees as a proptest strategy: what failed is made smaller by taking away files, entries, fields and looks, one at a time,
//! for as long as something can go.

use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::generate::{Maker, Tree};
use super::node::{Content, Look, Node, Value};

/// Random trees.
#[derive(Debug)]
pub struct Trees;

impl Strategy for Trees {
    type Tree = Shrinking;
    type Value = Tree;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let tree = Maker::tree(runner.new_rng());
        Ok(Shrinking {
            tree: tree.clone(),
            last: tree,
            at: 0,
            progress: false,
        })
    }
}

/// A tree, the last one that failed, and which of its reductions is tried.
#[derive(Debug)]
pub struct Shrinking {
    tree: Tree,
    last: Tree,
    at: usize,
    progress: bool,
}

impl Shrinking {
    fn next(&mut self) -> bool {
        loop {
            self.tree = self.last.clone();
            if reduce(&mut self.tree, self.at) {
                return true;
            }
            if !self.progress {
                self.tree = self.last.clone();
                return false;
            }
            self.progress = false;
            self.at = 0;
        }
    }
}

impl ValueTree for Shrinking {
    type Value = Tree;

    fn current(&self) -> Tree {
        self.tree.clone()
    }

    /// What there is fails: keep it, and take away more.
    fn simplify(&mut self) -> bool {
        self.progress |= self.tree != self.last;
        self.last = self.tree.clone();
        self.next()
    }

    /// What there is passes: put back what was taken away, and take something else.
    fn complicate(&mut self) -> bool {
        self.at += 1;
        self.next()
    }
}

/// Does the reduction with this number; false if there are not so many.
fn reduce(tree: &mut Tree, number: usize) -> bool {
    let mut rest = number;
    let mut is_it = || {
        rest = rest.wrapping_sub(1);
        rest == usize::MAX
    };
    for index in 0..tree.flags.len() {
        if is_it() {
            tree.flags.remove(index);
            return true;
        }
    }
    for index in 0..tree.files.len() {
        if is_it() {
            tree.files.remove(index);
            return true;
        }
    }
    for file in &mut tree.files {
        if file.cut && is_it() {
            file.cut = false;
            return true;
        }
        match &mut file.content {
            Content::Bytes(bytes) => {
                if bytes.len() > 1 && is_it() {
                    bytes.truncate(1);
                    return true;
                }
            }
            Content::Lines(lines) => {
                for index in 0..lines.len() {
                    if is_it() {
                        lines.remove(index);
                        return true;
                    }
                }
            }
            Content::Yaml(documents, indent) => {
                if *indent > 0 && is_it() {
                    *indent = 0;
                    return true;
                }
                if reduce_list(documents, &mut is_it) {
                    return true;
                }
            }
        }
    }
    false
}

fn reduce_list(nodes: &mut Vec<Node>, is_it: &mut impl FnMut() -> bool) -> bool {
    for index in 0..nodes.len() {
        if is_it() {
            nodes.remove(index);
            return true;
        }
    }
    nodes.iter_mut().any(|node| reduce_node(node, is_it))
}

fn reduce_node(node: &mut Node, is_it: &mut impl FnMut() -> bool) -> bool {
    if node.look != Look::default() && is_it() {
        node.look = Look::default();
        return true;
    }
    match &mut node.value {
        Value::Raw(_) => false,
        Value::Text(text) => {
            let shorter = text.len() > 1 && is_it();
            if shorter {
                node.value = Value::Raw("x".to_owned());
            }
            shorter
        }
        Value::List(items) | Value::Inline(items) => reduce_list(items, is_it),
        Value::Map(fields) => {
            for index in 0..fields.len() {
                if is_it() {
                    fields.remove(index);
                    return true;
                }
            }
            fields.iter_mut().any(|(_, node)| reduce_node(node, is_it))
        }
    }
}
