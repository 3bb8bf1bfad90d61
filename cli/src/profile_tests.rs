//! Who outranks whom, and which token goes where.

use super::*;

fn context(server: &str, namespace: &str, token: &str) -> Context {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Context { server: text(server), namespace: text(namespace), token: text(token).map(Secret), token_file: None }
}

fn files(project: &str, user: &str, system: &str) -> Files {
    let project = (!project.is_empty()).then(|| (PathBuf::from("/p/.tstr.toml"), toml::from_str(project).unwrap()));
    Files { project, user: toml::from_str(user).unwrap(), system: toml::from_str(system).unwrap() }
}

fn decide(flags: &Flags, env: &[(&str, &str)], files: &Files) -> Outcome<Profile> {
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    resolve(flags, &env, files)
}

fn token(profile: &Profile) -> Option<&str> {
    profile.token.as_ref().map(Secret::reveal)
}

const USER: &str = r#"
    current = "home"
    [contexts.home]
    server = "http://home"
    namespace = "user"
    token = "home-token"
    [contexts.work]
    server = "https://work"
    namespace = "shop"
    token = "work-token"
"#;

#[test]
fn without_anything_it_is_this_machine_and_no_token() {
    let profile = decide(&Flags::default(), &[], &Files::default()).unwrap();
    assert_eq!((profile.server.as_str(), profile.namespace.as_str()), ("http://127.0.0.1:9090/", "default"));
    assert_eq!(token(&profile), None);
}

/// Takes the layers away one by one, from the strongest: each time the next one decides.
#[test]
fn flag_outranks_environment_outranks_project_outranks_user_outranks_system() {
    let system = "current = 's'\n[contexts.s]\nserver = 'http://system'\nnamespace = 'system'";
    let mut files = files("server = 'http://project'\nnamespace = 'project'", USER, system);
    let mut flags = Flags { server: Some("http://flag".into()), namespace: Some("flag".into()), ..Flags::default() };
    let mut env = vec![("TSTR_SERVER", "http://env"), ("TSTR_NAMESPACE", "env")];
    let mut seen = Vec::new();
    let mut note = |flags: &Flags, env: &[(&str, &str)], files: &Files| {
        let profile = decide(flags, env, files).unwrap();
        seen.push((profile.server.host_str().unwrap().to_owned(), profile.namespace));
    };
    note(&flags, &env, &files);
    flags = Flags::default();
    note(&flags, &env, &files);
    env.clear();
    note(&flags, &env, &files);
    files.project = None;
    note(&flags, &env, &files);
    files.user = ConfigFile::default();
    note(&flags, &env, &files);
    files.system = ConfigFile::default();
    note(&flags, &env, &files);
    let expected = [
        ("flag", "flag"),
        ("env", "env"),
        ("project", "project"),
        ("home", "user"),
        ("system", "system"),
        ("127.0.0.1", "default"),
    ];
    assert_eq!(seen, expected.map(|(server, namespace)| (server.to_owned(), namespace.to_owned())));
}

#[test]
fn a_context_stands_where_the_one_who_names_it_stands() {
    let files = files("context = 'home'", USER, "");
    let env = [("TSTR_SERVER", "http://env"), ("TSTR_TOKEN", "env-token")];
    let flags = Flags { context: Some("work".into()), ..Flags::default() };
    let profile = decide(&flags, &env, &files).unwrap();
    assert_eq!((profile.server.as_str(), token(&profile)), ("https://work/", Some("work-token")));
    assert_eq!(profile.namespace, "shop");
    let profile = decide(&Flags::default(), &[("TSTR_CONTEXT", "work")], &files).unwrap();
    assert_eq!((profile.server.as_str(), token(&profile)), ("https://work/", Some("work-token")));
    let profile = decide(&Flags::default(), &[], &files).unwrap();
    assert_eq!((profile.server.as_str(), token(&profile)), ("http://home/", Some("home-token")));
}

#[test]
fn a_context_that_is_not_there_is_named() {
    let flags = Flags { context: Some("nowhere".into()), ..Flags::default() };
    let failure = decide(&flags, &[], &Files::default()).unwrap_err();
    assert_eq!((failure.exit(), failure.to_string().as_str()), (Exit::Usage, "there is no context 'nowhere'"));
}

#[test]
fn a_stored_token_goes_only_to_its_own_server() {
    let files = files("", USER, "");
    let at = |server: &str| Flags { server: Some(server.into()), ..Flags::default() };
    assert_eq!(token(&decide(&at("http://elsewhere"), &[], &files).unwrap()), None);
    assert_eq!(token(&decide(&at("http://home:8080"), &[], &files).unwrap()), None);
    assert_eq!(token(&decide(&at("https://home"), &[], &files).unwrap()), None);
    assert_eq!(token(&decide(&at("https://work/"), &[], &files).unwrap()), Some("work-token"));
}

#[test]
fn a_project_cannot_send_a_token_to_a_server_of_its_choice() {
    let evil = files("server = 'https://evil'", USER, "");
    let profile = decide(&Flags::default(), &[("TSTR_TOKEN", "env-token")], &evil).unwrap();
    assert_eq!((profile.server.as_str(), token(&profile)), ("https://evil/", None));
    assert!(profile.withheld.unwrap().contains("/p/.tstr.toml"));
    let flags = Flags { server: Some("https://evil".into()), ..Flags::default() };
    let profile = decide(&flags, &[("TSTR_TOKEN", "env-token")], &evil).unwrap();
    assert_eq!(token(&profile), Some("env-token"), "the holder named it");
    let fair = files("server = 'https://work'", USER, "");
    assert_eq!(token(&decide(&Flags::default(), &[], &fair).unwrap()), Some("work-token"));
}

#[test]
fn the_token_comes_from_the_flag_then_the_environment_then_the_context() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "file-token\n").unwrap();
    let files = files("", USER, "");
    let flags = Flags { token_file: Some(path.clone()), ..Flags::default() };
    let env = [("TSTR_TOKEN", "env-token"), ("TSTR_TOKEN_FILE", path.to_str().unwrap())];
    assert_eq!(token(&decide(&flags, &env, &files).unwrap()), Some("file-token"));
    assert_eq!(token(&decide(&Flags::default(), &env, &files).unwrap()), Some("env-token"));
    assert_eq!(token(&decide(&Flags::default(), &env[1..], &files).unwrap()), Some("file-token"));
    assert_eq!(token(&decide(&Flags::default(), &[], &files).unwrap()), Some("home-token"));
}

#[test]
fn a_token_is_never_shown() {
    let secret = Secret::parse(" abc\n", "x").unwrap();
    assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("abc", "Secret(…)"));
    assert!(!format!("{:?}", context("", "", "abc")).contains("abc"));
    assert!(Secret::parse("two words", "x").is_err() && Secret::parse("\n", "x").is_err());
}

#[test]
fn an_address_is_only_an_address() {
    assert_eq!(parse_server("http://h:1/base").unwrap().as_str(), "http://h:1/base/");
    for text in ["h:1", "localhost", "ftp://h", "http://user:pw@h", "http://h/?q=1", "http://h/#x", ""] {
        assert_eq!(parse_server(text).unwrap_err().exit(), Exit::Usage, "{text}");
    }
}

#[test]
fn a_configuration_is_written_for_its_owner_alone_and_read_back() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tstr/config.toml");
    let mut config = ConfigFile { current: Some("a".into()), ..ConfigFile::default() };
    config.contexts.insert("a".into(), context("http://h", "n", "t"));
    config.output = Some(Format::Wide);
    write_config(&path, &config).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(read_config(&path).unwrap(), config);
    assert_eq!(read_config(&folder.path().join("none")).unwrap(), ConfigFile::default());
}

#[test]
fn unknown_keys_and_secrets_of_a_project_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(PROJECT_FILE);
    for (text, named) in [("nmespace = 'x'", "nmespace"), ("token = 'x'", "token"), ("token_file = 'x'", "token_file")]
    {
        std::fs::write(&path, text).unwrap();
        let failure = read_project(&path).unwrap_err();
        assert!(failure.exit() == Exit::Usage && failure.to_string().contains(named), "{failure}");
    }
    let below = folder.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    assert_eq!(find_project(&below), Some(path));
}
