//! A test of every status that nextest knows.

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {
        println!("a line <&> \u{1b}[31mred\u{1b}[0m ]]>");
    }

    #[test]
    fn fails() {
        eprintln!("on the standard error");
        assert_eq!(1, 2, "never");
    }

    #[test]
    #[ignore = "not now"]
    fn is_ignored() {}

    #[test]
    #[should_panic(expected = "boom")]
    fn panics_as_it_should() {
        panic!("boom");
    }

    #[test]
    #[should_panic]
    fn does_not_panic_as_it_should() {}

    #[test]
    fn is_flaky() {
        let attempt = std::env::var("NEXTEST_ATTEMPT").unwrap_or_default();
        assert_eq!(attempt, "3", "attempt {attempt}");
    }

    #[test]
    fn is_flaky_once() {
        assert_eq!(std::env::var("NEXTEST_ATTEMPT").unwrap_or_default(), "2");
    }

    #[test]
    fn aborts() {
        std::process::abort();
    }

    #[test]
    fn takes_too_long() {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}
