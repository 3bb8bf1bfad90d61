//! Paths, notes, hashes and patterns: what is taken and what is refused.

use proptest::prelude::*;

use super::*;

fn path(text: &str) -> Result<ArtifactPath, String> {
    ArtifactPath::parse(text)
}

#[test]
fn a_path_leads_below_whatever_it_is_joined_to() {
    for good in ["a", "a/b.txt", "ä/ö ü", "..a/b..", "a\\b", ".hidden", &"x".repeat(512), &vec!["d"; 16].join("/")] {
        assert!(path(good).is_ok(), "{good}");
    }
    let (long, deep) = ("x".repeat(513), vec!["d"; 17].join("/"));
    for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0b", "a\nb", "\u{85}", &long, &deep]
    {
        assert!(path(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_folder_holds_what_lies_in_it_and_nothing_that_only_begins_alike() {
    let file = path("a/b/c").unwrap();
    assert!(["a", "a/b", "a/b/c"].iter().all(|place| file.is_at_or_below(place)));
    assert!(["a/b/cc", "a/", "b", "a/b/"].iter().all(|place| !file.is_at_or_below(place)));
    assert!(!path("ab").unwrap().is_at_or_below("a"));
    assert_eq!((file.name(), file.steps().count()), ("c", 3));
}

#[test]
fn a_hash_is_64_small_hexadecimal_digits() {
    let text = "00ff".repeat(16);
    let hash: ContentHash = text.parse().unwrap();
    assert_eq!((hash.0[0], hash.0[1], hash.to_string()), (0, 255, text.clone()));
    assert_eq!(serde_json::to_value(hash).unwrap(), text);
    for bad in ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &"ä".repeat(32), &format!("+{}", &text[1..])]
    {
        assert!(bad.parse::<ContentHash>().is_err(), "{bad}");
    }
}

fn pattern(text: &str) -> ArtifactPattern {
    ArtifactPattern::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[test]
fn patterns_match_as_doublestar_does() {
    for (text, yes, no) in [
        (
            "/work/out.xml",
            vec!["/work/out.xml", "/work/out.xml/inside"],
            vec!["/work/out.xmls", "/work", "/x/work/out.xml"],
        ),
        ("/work/*.xml", vec!["/work/a.xml", "/work/.xml"], vec!["/work/a/b.xml", "/work/a.xm", "/work/aXxml"]),
        ("/work/**/*.xml", vec!["/work/a.xml", "/work/a/b/c.xml"], vec!["/work/a.txt", "/a.xml"]),
        ("/work/**", vec!["/work/a", "/work/a/b"], vec!["/work", "/works/a"]),
        ("/w/r?n/[a-c]*.t", vec!["/w/run/b1.t", "/w/ran/a.t"], vec!["/w/ruun/a.t", "/w/run/d.t", "/w/r/n/a.t"]),
        ("/w/[!a].x", vec!["/w/b.x"], vec!["/w/a.x", "/w//.x"]),
        ("/w/{a,bc}.{x,y}", vec!["/w/a.x", "/w/bc.y"], vec!["/w/ab.x", "/w/a.z"]),
        ("/w/a+b(c)|d*", vec!["/w/a+b(c)|d1"], vec!["/w/aab(c)|d", "/w/d"]),
        ("/w/**/x/**/y", vec!["/w/x/y", "/w/1/x/2/3/y"], vec!["/w/y"]),
    ] {
        let pattern = pattern(text);
        for path in yes {
            assert!(pattern.matches(path), "{text} takes {path}");
        }
        for path in no {
            assert!(!pattern.matches(path), "{text} leaves {path}");
        }
    }
}

#[test]
fn patterns_that_name_no_folder_or_are_broken_are_refused() {
    let long = format!("/w/{}", "x".repeat(512));
    for bad in [
        "",
        "/",
        "work",
        "*.xml",
        "/*",
        "/**/x",
        "/{a,b}/x",
        "/w/../x",
        "/w/./x",
        "/w//x",
        "/w/",
        "/w/[a",
        "/w/a]",
        "/w/{a",
        "/w/a}",
        "/w/{a,{b}}",
        "/w/[z-a]",
        "/w/[]",
        "/w/\0",
        "/w/[!]",
        &long,
    ] {
        assert!(ArtifactPattern::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_copied_begins_at_the_folder_for_artifacts_and_no_folder_is_copied_twice() {
    let of = |texts: &[&str]| roots(&texts.iter().map(|text| pattern(text)).collect::<Vec<_>>());
    let bases = |texts: &[&str]| of(texts).into_iter().map(|root| root.base).collect::<Vec<_>>();
    assert_eq!(bases(&[]), [FOLDER]);
    assert_eq!(bases(&["/w/a/*.x", "/w/a/b/*.y", "/v/x"]), [FOLDER, "/w/a", "/v/x"]);
    assert_eq!(bases(&["/w/a/b/*", "/w/a/*", "/w/ab/*"]), [FOLDER, "/w/a", "/w/ab"]);
    let roots = of(&["/w/a/*.x", "/w/a/b/*.y"]);
    assert_eq!(roots[0].kept_as("r/x.xml").as_deref(), Some("r/x.xml"));
    assert_eq!(roots[1].kept_as("1.x").as_deref(), Some("w/a/1.x"));
    assert_eq!(roots[1].kept_as("b/1.y").as_deref(), Some("w/a/b/1.y"));
    assert_eq!(roots[1].kept_as("1.y"), None);
    // The file itself, and what lies in the folder for artifacts anyway.
    assert_eq!(of(&["/w/x.xml"])[1].kept_as("").as_deref(), Some("w/x.xml"));
    assert_eq!(of(&["/tstr/**/*.xml"])[1].kept_as("artifacts/a.xml"), None);
    assert_eq!(of(&["/tstr/**/*.xml"])[1].kept_as("artifactsx/a.xml").as_deref(), Some("tstr/artifactsx/a.xml"));
}

#[test]
fn a_test_names_32_patterns_and_each_fault_has_its_place() {
    let of = |paths: Vec<String>| Artifacts { paths, ..Artifacts::default() };
    assert!(of(vec!["/w/x".into(); 32]).validate().is_ok());
    let faults = of(vec!["/w/x".into(), "x".into()]).validate().unwrap_err();
    assert_eq!(faults.errors[0].pointer, "/paths/1");
    assert_eq!(of(vec!["/w/x".into(); 33]).validate().unwrap_err().errors[0].pointer, "/paths");
    let written: Artifacts = serde_json::from_str(r#"{"report": "required"}"#).unwrap();
    assert_eq!(written.report, ReportMode::Required);
    assert!(serde_json::from_str::<Artifacts>(r#"{"path": []}"#).is_err());
}

#[test]
fn a_note_counts_all_and_names_the_first_in_plain_text() {
    let mut note = ArtifactNote::new(NoteWhy::TooLarge);
    for i in 0..7 {
        note.add(&format!("f{i}\n\x1b[31m{}", "x".repeat(600)), u64::MAX / 2);
    }
    assert_eq!((note.files, note.bytes, note.paths.len()), (7, u64::MAX, 5));
    assert!(note.paths.iter().all(|path| path.len() <= MAX_PATH && !path.contains(['\n', '\x1b'])));
    let note = ArtifactNote { bytes: 3, ..note }.with_detail(&"ü".repeat(400));
    assert!(note.detail.as_ref().unwrap().len() <= MAX_DETAIL);
    let whole = Collected { files: Vec::new(), notes: vec![note] };
    assert!(whole.validate().is_ok());
    for why in NoteWhy::ALL {
        assert!(ArtifactNote::new(*why).sentence().len() > 10, "{why}");
    }
}

#[test]
fn a_report_is_checked_before_it_is_taken() {
    let file = |name: &str, bytes| CollectedFile {
        path: path(name).unwrap(),
        blob: Blob { sha256: ContentHash([0; 32]), bytes },
    };
    let faults = |files: Vec<CollectedFile>| match (Collected { files, notes: Vec::new() }).validate() {
        Ok(()) => Vec::new(),
        Err(invalid) => invalid.errors.into_iter().map(|fault| fault.pointer).collect(),
    };
    assert!(faults((0..1000).map(|i| file(&i.to_string(), MAX_FILE.0)).collect()).is_empty());
    assert_eq!(faults((0..1001).map(|i| file(&i.to_string(), 0)).collect()), ["/files"]);
    assert_eq!(faults(vec![file("a", 0), file("a", MAX_FILE.0 + 1)]), ["/files/1/blob/bytes", "/files/1/path"]);
}

#[test]
fn what_a_name_suggests_is_only_a_guess_and_never_a_script_for_a_download() {
    assert_eq!(media_type("report.HTML"), "text/html");
    assert_eq!(media_type("junit.xml"), "application/xml");
    assert_eq!((media_type("noending"), media_type("x.")), (OPAQUE, OPAQUE));
    assert!(is_text("text/html; charset=utf-8") && is_text("application/json") && !is_text("image/svg+xml"));
}

proptest! {
    #[test]
    fn no_path_escapes(text in "\\PC{0,20}|([a.]{0,3}/){0,4}[a./]{0,3}") {
        if let Ok(path) = path(&text) {
            let joined = std::path::Path::new("/d").join(path.as_str());
            let plain = joined.components().all(|part| !matches!(part, std::path::Component::ParentDir));
            prop_assert!(plain && joined.starts_with("/d"));
            let written = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<ArtifactPath>(&written).unwrap(), path);
        }
    }

    #[test]
    fn patterns_are_read_or_refused_and_never_match_outside_of_their_base(
        source in "/w[a-c*?,{}\\[\\]!/-]{0,16}", file in "(/[wabc-]{1,3}){1,4}",
    ) {
        if let Ok(pattern) = ArtifactPattern::parse(&source) {
            let roots = roots(std::slice::from_ref(&pattern));
            if pattern.matches(&file) {
                let base = &roots[1].base;
                prop_assert!(file.strip_prefix(base.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/')), "{source} {file} {base}");
            }
        }
    }
}
