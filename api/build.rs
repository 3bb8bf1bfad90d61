//! Rebuilds when a migration changes, and with the web UI within when that changes: both folders are read when the crate is
//! compiled.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
    if std::env::var_os("CARGO_FEATURE_EMBED_UI").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=../ui/dist");
    if !std::path::Path::new("../ui/dist/index.html").exists() {
        println!(
            "cargo::error=the feature embed-ui needs the built web UI, and there is no ui/dist/index.html: run \
             ./scripts/ui-build first, or build without the feature"
        );
    }
}
