//! Another binary with a test of the same name.

mod tests {
    #[test]
    fn passes() {}
}

#[test]
fn returns_an_error() -> Result<(), String> {
    Err("why".into())
}
