//! Every input that is kept, as it is, cut short, and with single bits the other way round.

use std::fs;

use warren_fuzz::{TARGETS, bound_memory};

/// Changes that each input is tried with. All of a short one, some of a long one.
const CHANGES: usize = 512;

#[test]
fn every_input_is_borne_whole_cut_and_bent() {
    bound_memory();
    for target in TARGETS {
        let inputs = target.inputs().expect("each target has a corpus");
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for (file, input) in inputs {
            println!("{file}");
            (target.run)(&input);
            let step = (input.len() * 8 / CHANGES).max(1);
            for bit in (0..input.len() * 8).step_by(step) {
                (target.run)(&input[..bit / 8]);
                let mut bent = input.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                (target.run)(&bent);
            }
        }
    }
}

#[test]
fn every_corpus_belongs_to_a_target() {
    let folder = TARGETS[0].corpus().parent().expect("it is a folder in one").to_owned();

    let mut folders: Vec<String> = fs::read_dir(folder)
        .expect("there is a corpus")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();

    let mut names = TARGETS.map(|target| target.name);
    names.sort_unstable();
    assert_eq!(folders, names);
}
