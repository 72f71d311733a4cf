// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the source files of a crate define and name, without their tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The parts of a path or of a module's name: `crate::a::b` is `["a", "b"]` once it is resolved.
pub(crate) type Segments = Vec<String>;

/// The modules of a crate by name; the root's is empty.
pub(crate) struct Crate(BTreeMap<Segments, Module>);

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// The items that it defines itself.
    defines: BTreeSet<String>,
    /// What its `use` items bring in, as written.
    imports: BTreeMap<String, Segments>,
    globs: Vec<Segments>,
    /// The paths in its code, as written. What it passes on with `pub use` is not among them.
    names: Vec<Segments>,
}

/// Something that a file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    File(PathBuf),
    Crate(String),
}

impl Crate {
    /// Reads the crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut modules = BTreeMap::new();
        read_file(root, root.parent().unwrap(), Vec::new(), &mut modules);
        Self(modules)
    }

    /// What each file names in other files and crates, with a path that does so.
    pub(crate) fn imports(&self) -> BTreeMap<PathBuf, BTreeMap<Target, String>> {
        let mut imports: BTreeMap<PathBuf, BTreeMap<Target, String>> = BTreeMap::new();
        for (name, module) in &self.0 {
            let of_file = imports.entry(module.file.clone()).or_default();
            for path in &module.names {
                let target = self.target(name, path);
                if let Some(target) = target.filter(|it| *it != Target::File(module.file.clone())) {
                    of_file.entry(target).or_insert_with(|| path.join("::"));
                }
            }
        }
        imports
    }

    fn target(&self, module: &Segments, path: &[String]) -> Option<Target> {
        match self.absolute(module, path) {
            Some(path) => Some(Target::File(self.0[&self.definer(&path, 0)].file.clone())),
            None if self.0[module].imports.contains_key(&path[0]) => None,
            None => Some(Target::Crate(path[0].clone())),
        }
    }

    /// The path from the crate's root, if it leads to something in this crate.
    fn absolute(&self, module: &Segments, path: &[String]) -> Option<Segments> {
        let (start, rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (module.clone(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                (
                    module[..module.len().checked_sub(ups)?].to_vec(),
                    &path[ups..],
                )
            }
            first => {
                let child = [module.as_slice(), &[first.to_owned()]].concat();
                self.0
                    .contains_key(&child)
                    .then(|| (module.clone(), path))?
            }
        };
        Some([start.as_slice(), rest].concat())
    }

    /// The module that defines what a path from the root leads to, through what others pass on.
    fn definer(&self, path: &[String], depth: usize) -> Segments {
        let length = (0..=path.len())
            .rev()
            .find(|n| self.0.contains_key(&path[..*n]));
        let (module, rest) = path.split_at(length.unwrap_or(0));
        let module = module.to_vec();
        let Some(item) = rest.first() else {
            return module;
        };
        let here = &self.0[&module];
        if depth == 8 || here.defines.contains(item) {
            return module;
        }
        let imported = here
            .imports
            .get(item)
            .and_then(|path| self.absolute(&module, path));
        let globbed = here.globs.iter().filter_map(|path| {
            let path = [self.absolute(&module, path)?.as_slice(), rest].concat();
            let definer = self.definer(&path, depth + 1);
            self.0[&definer].defines.contains(item).then_some(definer)
        });
        match imported {
            Some(path) => self.definer(&path, depth + 1),
            None => globbed.into_iter().next().unwrap_or(module),
        }
    }
}

fn read_file(file: &Path, folder: &Path, name: Segments, modules: &mut BTreeMap<Segments, Module>) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut reader = Reader {
        modules,
        file,
        folder,
        name,
    };
    reader.module(&parsed.items);
}

/// Reads the items of one module of a file.
struct Reader<'a> {
    modules: &'a mut BTreeMap<Segments, Module>,
    file: &'a Path,
    /// Where the files of its modules are.
    folder: &'a Path,
    name: Segments,
}

impl Reader<'_> {
    fn module(&mut self, items: &[syn::Item]) {
        let module = Module {
            file: self.file.to_owned(),
            ..Module::default()
        };
        self.modules.insert(self.name.clone(), module);
        for item in items {
            self.visit_item(item);
        }
    }

    fn here(&mut self) -> &mut Module {
        self.modules.get_mut(&self.name).unwrap()
    }

    fn submodule(&mut self, item: &syn::ItemMod) {
        let module = item.ident.to_string();
        let name = [self.name.as_slice(), std::slice::from_ref(&module)].concat();
        let folder = self.folder.join(&module);
        match &item.content {
            Some((_, items)) => {
                let mut reader = Reader {
                    modules: self.modules,
                    file: self.file,
                    folder: &folder,
                    name,
                };
                reader.module(items);
            }
            None => {
                let beside = self.folder.join(format!("{module}.rs"));
                let inside = folder.join("mod.rs");
                let file = if beside.exists() { beside } else { inside };
                read_file(&file, &folder, name, self.modules);
            }
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, mut path: Segments, passed_on: bool) {
        match tree {
            syn::UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.use_tree(&tree.tree, path, passed_on);
            }
            syn::UseTree::Name(tree) => self.import(path, &tree.ident, &tree.ident, passed_on),
            syn::UseTree::Rename(tree) => self.import(path, &tree.ident, &tree.rename, passed_on),
            syn::UseTree::Glob(_) => {
                if !passed_on {
                    self.here().names.push(path.clone());
                }
                self.here().globs.push(path);
            }
            syn::UseTree::Group(tree) => {
                for tree in &tree.items {
                    self.use_tree(tree, path.clone(), passed_on);
                }
            }
        }
    }

    fn import(
        &mut self,
        mut path: Segments,
        item: &syn::Ident,
        name: &syn::Ident,
        passed_on: bool,
    ) {
        if item != "self" {
            path.push(item.to_string());
        }
        let name = if name == "self" {
            path.last().unwrap().clone()
        } else {
            name.to_string()
        };
        if !passed_on {
            self.here().names.push(path.clone());
        }
        self.here().imports.insert(name, path);
    }

    /// The paths in a macro's tokens, as far as they begin at a module.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Segments = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
                other => {
                    self.macro_path(&mut path);
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        _ => {}
                    }
                }
            }
        }
        self.macro_path(&mut path);
    }

    fn macro_path(&mut self, path: &mut Segments) {
        let path = std::mem::take(path);
        if path.len() > 1 && matches!(path[0].as_str(), "crate" | "super") {
            self.here().names.push(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list().ok();
        let cfg = list
            .filter(|list| list.path.is_ident("cfg"))
            .map(|list| list.tokens.to_string());
        attribute.path().is_ident("test")
            || cfg.is_some_and(|it| it == "test" || it.starts_with("all (test"))
    })
}

/// The name and the attributes of an item that has a name.
fn named(item: &syn::Item) -> Option<(&syn::Ident, &[syn::Attribute])> {
    use syn::Item::*;
    Some(match item {
        Const(it) => (&it.ident, &it.attrs),
        Enum(it) => (&it.ident, &it.attrs),
        Fn(it) => (&it.sig.ident, &it.attrs),
        Mod(it) => (&it.ident, &it.attrs),
        Static(it) => (&it.ident, &it.attrs),
        Struct(it) => (&it.ident, &it.attrs),
        Trait(it) => (&it.ident, &it.attrs),
        Type(it) => (&it.ident, &it.attrs),
        Union(it) => (&it.ident, &it.attrs),
        Macro(it) => (it.ident.as_ref()?, &it.attrs),
        _ => return None,
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if let Some((ident, attributes)) = named(item) {
            if is_test(attributes) {
                return;
            }
            self.here().defines.insert(ident.to_string());
        }
        match item {
            syn::Item::Mod(item) => self.submodule(item),
            syn::Item::Use(item) if is_test(&item.attrs) => {}
            syn::Item::Use(item) => {
                let passed_on = !matches!(item.vis, syn::Visibility::Inherited);
                self.use_tree(&item.tree, Vec::new(), passed_on);
            }
            item => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if segments.len() > 1 && segments[0] != "Self" {
            self.here().names.push(segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    // `pub(in crate::element)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    // Nor does an attribute.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
