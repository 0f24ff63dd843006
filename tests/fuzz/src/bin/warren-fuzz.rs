//! `warren-fuzz TARGET`: looks for inputs that a target cannot bear, for as long as libFuzzer's
//! arguments say. `cargo xtask fuzz` builds and starts it.

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(target) = warren_fuzz::target(&name) else {
        let names = warren_fuzz::TARGETS.map(|target| target.name);
        eprintln!("no target '{name}'; there are {}", names.join(", "));
        std::process::exit(1);
    };
    if cfg!(fuzzing_libfuzzer) {
        bolero::check!().for_each(|bytes: &[u8]| (target.run)(bytes));
    } else {
        eprintln!("this program was built without a guide: cargo xtask fuzz {name}");
        std::process::exit(1);
    }
}
