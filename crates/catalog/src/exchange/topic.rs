//! By patterns of words: `*` stands for one word, `#` for any number.
//!
//! The patterns form a tree of words. A message walks it with all the nodes it can be at, word
//! by word, so that several `#` in a pattern cost their number and not their combinations, and
//! the number of bindings does not matter. Words are numbered once per exchange, and all
//! branches stand in one map, so that a binding costs little memory.
//!
//! **Invariant:** every node but the root has a branch, a `#` or `*` child, or targets.

use slab::Slab;

use super::targets::{Hop, Targets};
use crate::Message;
use crate::lookup::Lookup;
use crate::route::Found;

const ONE: &[u8] = b"*";
const ANY: &[u8] = b"#";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct NodeIndex(u32);

impl NodeIndex {
    fn slot(self) -> usize {
        usize::try_from(self.0).expect("an index into memory fits a usize")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct WordNumber(u32);

/// Which child of a node.
#[derive(Clone, Copy, Debug)]
enum Step {
    Word(WordNumber),
    One,
    Any,
}

#[derive(Clone, Debug, Default)]
struct Node {
    targets: Targets,
    /// The child behind `*`.
    one: Option<NodeIndex>,
    /// The child behind `#`.
    any: Option<NodeIndex>,
    /// How many children there are behind words.
    branches: u32,
    /// Whether this is the child behind `#`, where every word leads back to it.
    loops: bool,
}

impl Node {
    fn is_bare(&self) -> bool {
        self.targets.is_empty() && self.one.is_none() && self.any.is_none() && self.branches == 0
    }
}

/// A word's number, and how many branches use it.
#[derive(Clone, Copy, Debug)]
struct Word {
    number: WordNumber,
    branches: u32,
}

/// The bindings of a topic exchange.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    root: NodeIndex,
    nodes: Slab<Node>,
    branches: Lookup<(NodeIndex, WordNumber), NodeIndex>,
    words: Lookup<Box<[u8]>, Word>,
    /// Which word numbers are taken.
    numbers: Slab<()>,
}

/// Memory for walking the tree, used again and again.
#[derive(Debug, Default)]
pub(crate) struct TopicScratch {
    at: Vec<NodeIndex>,
    next: Vec<NodeIndex>,
}

impl Default for Topic {
    fn default() -> Self {
        let mut nodes = Slab::new();
        let root = insert_node(&mut nodes, Node::default());
        Self {
            root,
            nodes,
            branches: Lookup::default(),
            words: Lookup::default(),
            numbers: Slab::new(),
        }
    }
}

impl Topic {
    pub(crate) fn bind(&mut self, pattern: &[u8], hop: Hop) {
        let mut at = self.root;
        for word in words(pattern) {
            at = self.child_or_insert(at, word);
        }
        if let Some(node) = self.nodes.get_mut(at.slot()) {
            node.targets.bind(hop);
        }
    }

    pub(crate) fn unbind(&mut self, pattern: &[u8], hop: &Hop) {
        let mut path = Vec::new();
        let mut at = self.root;
        for word in words(pattern) {
            let Some((step, child)) = self.child(at, word) else { return };
            path.push((at, step, word, child));
            at = child;
        }
        if let Some(node) = self.nodes.get_mut(at.slot()) {
            node.targets.unbind(hop);
        }
        for (parent, step, word, child) in path.into_iter().rev() {
            if !self.nodes.get(child.slot()).is_some_and(Node::is_bare) {
                return;
            }
            self.nodes.try_remove(child.slot());
            self.cut(parent, step, word);
        }
    }

    pub(crate) fn route<'a>(
        &'a self,
        message: Message<'_>,
        scratch: &mut TopicScratch,
        found: &mut Found<'a, '_>,
    ) {
        for key in message.keys() {
            self.walk(key, scratch);
            for node in scratch.at.iter().filter_map(|at| self.nodes.get(at.slot())) {
                node.targets.route(found);
            }
        }
    }

    /// Leaves in `scratch.at` all nodes that `key` ends at.
    fn walk(&self, key: &[u8], scratch: &mut TopicScratch) {
        let TopicScratch { at, next } = scratch;
        at.clear();
        self.arrive(self.root, at);
        for word in words(key) {
            if at.is_empty() {
                return;
            }
            let number = self.words.value(word).map(|word| word.number);
            let mut may_repeat = false;
            next.clear();
            for &from in at.iter() {
                let Some(node) = self.nodes.get(from.slot()) else { continue };
                if node.loops {
                    may_repeat = true;
                    self.arrive(from, next);
                }
                if let Some(one) = node.one {
                    self.arrive(one, next);
                }
                let branch = number.filter(|_| node.branches > 0);
                let branch = branch.and_then(|number| self.branches.value(&(from, number)));
                if let Some(&child) = branch {
                    self.arrive(child, next);
                }
            }
            if may_repeat {
                next.sort_unstable();
                next.dedup();
            }
            std::mem::swap(at, next);
        }
    }

    /// Adds `node` and all that `#` for no word leads to from there.
    fn arrive(&self, node: NodeIndex, nodes: &mut Vec<NodeIndex>) {
        let mut next = Some(node);
        while let Some(node) = next {
            nodes.push(node);
            next = self.nodes.get(node.slot()).and_then(|node| node.any);
        }
    }

    fn child(&self, parent: NodeIndex, word: &[u8]) -> Option<(Step, NodeIndex)> {
        let node = self.nodes.get(parent.slot())?;
        match word {
            ONE => node.one.map(|child| (Step::One, child)),
            ANY => node.any.map(|child| (Step::Any, child)),
            word => {
                let number = self.words.value(word)?.number;
                let child = self.branches.value(&(parent, number))?;
                Some((Step::Word(number), *child))
            }
        }
    }

    fn child_or_insert(&mut self, parent: NodeIndex, word: &[u8]) -> NodeIndex {
        if let Some((_, child)) = self.child(parent, word) {
            return child;
        }
        let child = Node { loops: word == ANY, ..Node::default() };
        let child = insert_node(&mut self.nodes, child);
        let number = (word != ONE && word != ANY).then(|| self.use_word(word));
        if let Some(number) = number {
            self.branches.insert((parent, number), child);
        }
        let parent = self.nodes.get_mut(parent.slot()).expect("the parent was just walked to");
        match (word, number) {
            (_, Some(_)) => parent.branches = parent.branches.saturating_add(1),
            (ONE, None) => parent.one = Some(child),
            (_, None) => parent.any = Some(child),
        }
        child
    }

    fn cut(&mut self, parent: NodeIndex, step: Step, word: &[u8]) {
        let Some(node) = self.nodes.get_mut(parent.slot()) else { return };
        match step {
            Step::One => node.one = None,
            Step::Any => node.any = None,
            Step::Word(number) => {
                node.branches = node.branches.saturating_sub(1);
                self.branches.remove(&(parent, number));
                self.forget_word(word);
            }
        }
    }

    fn use_word(&mut self, text: &[u8]) -> WordNumber {
        if let Some(word) = self.words.value_mut(text) {
            word.branches = word.branches.saturating_add(1);
            return word.number;
        }
        let number = u32::try_from(self.numbers.insert(())).expect("fewer than 2^32 words");
        let number = WordNumber(number);
        self.words.insert(Box::from(text), Word { number, branches: 1 });
        number
    }

    fn forget_word(&mut self, text: &[u8]) {
        let Some(word) = self.words.value_mut(text) else { return };
        word.branches = word.branches.saturating_sub(1);
        if word.branches == 0 {
            let number = usize::try_from(word.number.0).expect("an index into memory fits a usize");
            self.numbers.try_remove(number);
            self.words.remove(text);
        }
    }
}

fn insert_node(nodes: &mut Slab<Node>, node: Node) -> NodeIndex {
    NodeIndex(u32::try_from(nodes.insert(node)).expect("fewer than 2^32 nodes"))
}

/// The words of a key or pattern: what stands between dots, and none at all in an empty key.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let key = (!key.is_empty()).then_some(key);
    key.into_iter().flat_map(|key| key.split(|&byte| byte == b'.'))
}

#[cfg(test)]
mod tests;
