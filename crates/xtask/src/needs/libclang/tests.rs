//! Tests of the search for libclang, on made-up file trees.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own for one test, gone when the test is over.
struct Tree(PathBuf);

impl Tree {
    fn with(files: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = env::temp_dir().join(format!("xtask-{}-{number}", std::process::id()));
        for file in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        Self(root)
    }

    fn newest(&self) -> Option<PathBuf> {
        newest(&[self.0.join("usr/lib/x86_64-linux-gnu"), self.0.join("usr/lib64")])
    }

    fn library(&self, file: &str) -> Libclang {
        Libclang { file: self.0.join(file), hidden: false }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_newest_library_is_the_one_that_counts() {
    let tree = Tree::with(&[
        "usr/lib/x86_64-linux-gnu/libclang-9.so.1",
        "usr/lib/x86_64-linux-gnu/libclang-14.so.1",
        "usr/lib/x86_64-linux-gnu/libclang-13.so.13.0.1",
    ]);

    let found = tree.newest();

    assert_eq!(found, Some(tree.0.join("usr/lib/x86_64-linux-gnu/libclang-14.so.1")));
}

#[test]
fn the_library_for_cpp_programs_is_another_one() {
    let tree = Tree::with(&["usr/lib/x86_64-linux-gnu/libclang-cpp.so.14", "usr/lib64/libclang.a"]);

    assert_eq!(tree.newest(), None);
}

#[test]
fn folders_two_levels_below_usr_lib_are_searched() {
    let tree = Tree::with(&["usr/lib/llvm-14/lib/libclang.so.1", "usr/local/lib64/libclang.so"]);

    let folders = known_folders(&tree.0);

    assert!(folders.contains(&tree.0.join("usr/lib/llvm-14/lib")));
    assert!(folders.contains(&tree.0.join("usr/local/lib64")));
}

#[test]
fn headers_of_another_version_are_not_taken_for_the_librarys_own() {
    let debian = "usr/lib/x86_64-linux-gnu/libclang-14.so.14.0.6";
    let own = Tree::with(&[debian, "usr/lib/llvm-14/lib/clang/14.0.6/include/stddef.h"]);
    let other = Tree::with(&[debian, "usr/lib/clang/13/include/stddef.h"]);

    assert!(own.library(debian).has_headers(&own.0));
    assert!(!other.library(debian).has_headers(&other.0));
}

#[test]
fn headers_beside_the_library_are_found() {
    let fedora = "usr/lib64/libclang.so.17.0.6";
    let tree = Tree::with(&[fedora, "usr/lib/clang/17/include/stddef.h"]);
    let unpacked = Tree::with(&["opt/lib/libclang.so", "opt/lib/clang/18/include/stddef.h"]);

    assert!(tree.library(fedora).has_headers(Path::new("/nowhere")));
    assert!(unpacked.library("opt/lib/libclang.so").has_headers(Path::new("/nowhere")));
}
