//! `tstr ctl artifact`: lists and downloads the files that a run left behind.
//!
//! Nothing is written outside of the folder that the person named, and nothing in it is replaced unasked: the paths are a
//! test's own, and so may be what lies in the folder already. A file appears whole and checked, or not at all, and one that
//! is there already is not read again.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tstr_shared::artifacts::{Artifact, ArtifactList, ArtifactPath, Blob, ContentHash};
use tstr_shared::ids::RunId;

use super::Ctl;
use crate::client::{Call, backoff};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Format, typed};

/// How often a file is tried.
const TRIES: u32 = 4;
/// A download that says nothing for so long is begun anew.
const SILENCE: Duration = Duration::from_secs(60);

/// Commands about files that runs left behind.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the files of a run, and say what was not kept
    #[command(before_help = "Examples:\n  tstr ctl artifact list RUN\n  tstr ctl artifact list RUN -o json")]
    List {
        /// The run
        run: RunId,
        /// The attempt, from 1 [default: the latest]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        attempt: Option<u16>,
    },
    /// Save files of a run
    Download(DownloadArgs),
}

/// Flags of `artifact download`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  tstr ctl artifact download RUN                       all files, into a folder with the run's name
  tstr ctl artifact download RUN --dir out             all files, into the folder out
  tstr ctl artifact download RUN report.html shots     a file, and what lies in the folder shots
  tstr ctl artifact download RUN --attempt 1 --force   of the first attempt; files that are there are replaced")]
pub struct DownloadArgs {
    /// The run
    run: RunId,
    /// Which files: the path of one, or of a folder [default: all]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Where they are saved; made if it is not there [default: a folder with the run's name, in this one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The attempt, from 1 [default: the latest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    attempt: Option<u16>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

/// Runs a command.
pub async fn run(ctl: &Ctl, command: Command) -> Outcome<Exit> {
    match command {
        Command::List { run, attempt } => list(ctl, run, attempt).await,
        Command::Download(args) => download(ctl, &args).await,
    }
}

async fn list(ctl: &Ctl, run: RunId, attempt: Option<u16>) -> Outcome<Exit> {
    let answer = ctl.client.send(&listing(run, attempt)).await?;
    // The notes belong to the answer, so programs get it as a whole.
    let is_whole = matches!(ctl.out.format(), Format::Json | Format::Yaml);
    if is_whole && ctl.out.documents(std::slice::from_ref(&answer), true)? {
        return Ok(Exit::Done);
    }
    ctl.out.list::<Artifact>(&items(&answer))?;
    say_notes(ctl, &typed(&answer)?);
    Ok(Exit::Done)
}

fn listing(run: RunId, attempt: Option<u16>) -> Call {
    Call::get(&["runs", &run.to_string(), "artifacts"]).with_some("attempt", attempt)
}

fn items(answer: &Value) -> Vec<Value> {
    answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn say_notes(ctl: &Ctl, list: &ArtifactList) {
    for note in &list.notes {
        let named = match note.paths.as_slice() {
            [] => String::new(),
            paths if (paths.len() as u64) < note.files => format!(": {} and more", paths.join(", ")),
            paths => format!(": {}", paths.join(", ")),
        };
        ctl.out.hint(&format!("{}{named}", note.sentence()));
    }
}

async fn download(ctl: &Ctl, args: &DownloadArgs) -> Outcome<Exit> {
    let answer = ctl.client.send(&listing(args.run, args.attempt)).await?;
    let list: ArtifactList = typed(&answer)?;
    let wanted = chosen(&list.items, &args.paths)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(args.run.to_string()));
    let (there, missing): (Vec<&Artifact>, Vec<_>) = wanted.iter().copied().partition(|one| is_saved(&dir, one));
    // Said before anything is saved, so that nothing is half done for want of a flag.
    if !args.force {
        let taken: Vec<&str> =
            missing.iter().filter(|one| is_there(&dir, &one.path)).map(|one| one.path.as_str()).collect();
        if let Some(first) = taken.first() {
            let others = if taken.len() > 1 { format!(", and {} more", taken.len() - 1) } else { String::new() };
            let failure = format!("{first} is in {} already, with something else in it{others}", dir.display());
            return Err(
                Failure::new(Exit::Conflict, failure).hint("--force replaces files, --dir names another folder")
            );
        }
    }
    fs::create_dir_all(&dir).map_err(|error| cannot(&dir, &error))?;
    if let Some((one, other)) = clash(&wanted)
        && folds_case(&dir)?
    {
        let failure = format!("{one} and {other} are one name in {}; nothing was saved", dir.display());
        return Err(Failure::new(Exit::Conflict, failure).hint("name one of them, or a folder on another file system"));
    }
    for artifact in &missing {
        save(ctl, args, &dir, list.attempt, artifact).await?;
    }
    let (saved, bytes) = (missing.len(), missing.iter().map(|artifact| artifact.bytes).sum::<u64>());
    match ctl.out.format() {
        Format::Table | Format::Wide => {
            let files = if saved == 1 { "1 file".to_owned() } else { format!("{saved} files") };
            let others = if there.is_empty() { String::new() } else { format!("; {} were there", there.len()) };
            ctl.out.say(&format!("saved {files} with {bytes} bytes in {}{others}", dir.display()));
            say_notes(ctl, &list);
        }
        Format::Json | Format::Jsonl | Format::Yaml | Format::Name => {
            let saved: HashSet<&str> = wanted.iter().map(|one| one.path.as_str()).collect();
            let is_saved =
                |item: &Value| item.get("path").and_then(Value::as_str).is_some_and(|path| saved.contains(path));
            let items: Vec<Value> = items(&answer).into_iter().filter(is_saved).collect();
            ctl.out.list::<Artifact>(&items)?;
        }
    }
    Ok(Exit::Done)
}

/// Returns the files that are meant. Each path must mean one at least.
fn chosen<'a>(items: &'a [Artifact], paths: &[String]) -> Outcome<Vec<&'a Artifact>> {
    let places: Vec<&str> = paths.iter().map(|path| path.trim_end_matches('/')).collect();
    if let Some(missing) = places.iter().find(|place| !items.iter().any(|one| one.path.is_at_or_below(place))) {
        let failure = Failure::new(Exit::NotFound, format!("the run left no file {missing}"));
        return Err(failure.hint("tstr ctl artifact list RUN shows which there are"));
    }
    let is_meant = |one: &&Artifact| places.is_empty() || places.iter().any(|place| one.path.is_at_or_below(place));
    Ok(items.iter().filter(is_meant).collect())
}

fn is_there(dir: &Path, path: &ArtifactPath) -> bool {
    dir.join(path.as_str()).symlink_metadata().is_ok()
}

/// Tells whether a file is there already as the run left it; one behind a link is not looked at.
fn is_saved(dir: &Path, artifact: &Artifact) -> bool {
    let (mut place, depth) = (dir.to_path_buf(), artifact.path.steps().count());
    for (i, step) in artifact.path.steps().enumerate() {
        place.push(step);
        let Ok(there) = place.symlink_metadata() else { return false };
        let fits = if i + 1 < depth { there.is_dir() } else { there.is_file() && there.len() == artifact.bytes };
        if !fits {
            return false;
        }
    }
    let hashed = File::open(&place).and_then(|mut file| {
        let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(ContentHash(hash.finalize().into())),
                read => hash.update(&piece[..read]),
            }
        }
    });
    hashed.is_ok_and(|hash| hash == artifact.sha256)
}

/// Finds two files of which one would take the other's place, or that of its folder, where upper and lower case are the same.
fn clash<'a>(items: &[&'a Artifact]) -> Option<(&'a str, &'a str)> {
    let mut files = HashMap::new();
    for one in items {
        if let Some(other) = files.insert(one.path.as_str().to_lowercase(), one.path.as_str()) {
            return Some((other, one.path.as_str()));
        }
    }
    items.iter().find_map(|one| {
        let path = one.path.as_str().to_lowercase();
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.find_map(|folder| files.get(folder)).map(|other| (*other, one.path.as_str()))
    })
}

/// Tells whether upper and lower case are the same in a folder.
fn folds_case(dir: &Path) -> Outcome<bool> {
    let made = tempfile::Builder::new().prefix(".tstr-case-").tempfile_in(dir);
    let made = made.map_err(|error| cannot(dir, &error))?;
    let name = made.path().file_name().unwrap_or_default().to_string_lossy().replace("case", "CASE");
    Ok(dir.join(name).symlink_metadata().is_ok())
}

/// Saves one file. What breaks off is tried again.
async fn save(ctl: &Ctl, args: &DownloadArgs, dir: &Path, attempt: u16, artifact: &Artifact) -> Outcome {
    let folder = folder_of(dir, &artifact.path)?;
    let target = folder.join(artifact.path.name());
    let run = args.run.to_string();
    let mut steps = vec!["runs", &run, "artifacts"];
    steps.extend(artifact.path.steps());
    let call = Call::get(&steps).with("attempt", attempt);
    let mut tries = 0;
    let file = loop {
        tries += 1;
        match fetch(ctl, &call, &folder, artifact).await {
            Err(failure) if failure.is_passing() && tries < TRIES => tokio::time::sleep(backoff(tries)).await,
            outcome => break outcome.map_err(|failure| failure.about(artifact.path.as_str()))?,
        }
    };
    let placed = if args.force { file.persist(&target) } else { file.persist_noclobber(&target) };
    placed.map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => Failure::new(Exit::Conflict, format!("{} is there already", target.display())),
        _ => cannot(&target, &error.error),
    })?;
    Ok(())
}

/// Reads a file into one without its name, and checks it.
async fn fetch(ctl: &Ctl, call: &Call, folder: &Path, artifact: &Artifact) -> Outcome<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tstr-").permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(|error| cannot(folder, &error))?;
    let mut response = ctl.client.bytes(call).await?;
    let (mut hash, mut count) = (Sha256::new(), 0);
    loop {
        let piece = tokio::time::timeout(SILENCE, ctl.client.piece(&mut response)).await;
        let piece = piece.map_err(|_| Failure::new(Exit::Unreachable, "the server does not go on"))??;
        let Some(piece) = piece else { break };
        count += piece.len() as u64;
        if count > artifact.bytes {
            break;
        }
        hash.update(&piece);
        file.write_all(&piece).map_err(|error| cannot(file.path(), &error))?;
    }
    let read = Blob { sha256: ContentHash(hash.finalize().into()), bytes: count };
    if read != (Blob { sha256: artifact.sha256, bytes: artifact.bytes }) {
        return Err(Failure::new(Exit::Error, "what the server sent is not what the run left; nothing was saved"));
    }
    Ok(file)
}

/// Returns the folder that a file is saved in, and makes it. No link on the way is followed: it could lead elsewhere.
fn folder_of(dir: &Path, path: &ArtifactPath) -> Outcome<PathBuf> {
    let mut folder = dir.to_path_buf();
    let depth = path.steps().count();
    for step in path.steps().take(depth - 1) {
        folder.push(step);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(cannot(&folder, &error)),
            Ok(()) | Err(_) => {}
        }
        let is_folder = folder.symlink_metadata().is_ok_and(|there| there.is_dir());
        if !is_folder {
            let failure = format!("{} is no folder, and a link is not followed", folder.display());
            return Err(Failure::new(Exit::Conflict, failure));
        }
    }
    Ok(folder)
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Error, format!("cannot write to {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ArtifactPath {
        ArtifactPath::parse(text).unwrap()
    }

    fn artifact(text: &str) -> Artifact {
        Artifact { path: path(text), bytes: 0, sha256: ContentHash([0; 32]), media_type: "text/plain".into() }
    }

    #[test]
    fn a_path_means_a_file_or_a_folder() {
        let items = ["a.txt", "shots/1.png", "shots/deep/2.png", "shots2/3.png"].map(artifact);
        let chosen = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            super::chosen(&items, &paths).map(|found| found.iter().map(|one| one.path.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).unwrap().len(), 4);
        assert_eq!(chosen(&["shots/"]).unwrap(), ["shots/1.png", "shots/deep/2.png"]);
        assert_eq!(chosen(&["a.txt", "shots2"]).unwrap(), ["a.txt", "shots2/3.png"]);
        for missing in ["shot", "../a.txt", "a.txt/x"] {
            assert_eq!(chosen(&["a.txt", missing]).unwrap_err().exit(), Exit::NotFound, "{missing}");
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_found() {
        let clash = |paths: &[&str]| {
            let items: Vec<Artifact> = paths.iter().map(|path| artifact(path)).collect();
            super::clash(&items.iter().collect::<Vec<_>>()).map(|(one, other)| [one.to_owned(), other.to_owned()])
        };
        assert_eq!(clash(&["a", "b/a", "B/c", "ä"]), None);
        assert_eq!(clash(&["b/A", "c", "B/a"]).unwrap(), ["b/A", "B/a"]);
        assert_eq!(clash(&["Shots", "shots/1.png"]).unwrap(), ["Shots", "shots/1.png"]);
        assert_eq!(clash(&["Ä", "ä"]).unwrap(), ["Ä", "ä"]);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Probe"), "").unwrap();
        assert_eq!(folds_case(dir.path()).unwrap(), dir.path().join("pROBE").exists());
    }

    #[test]
    fn no_link_leads_out_of_the_folder() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("link")).unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        assert_eq!(folder_of(dir.path(), &path("a/b/c.txt")).unwrap(), dir.path().join("a/b"));
        assert_eq!(folder_of(dir.path(), &path("a/b/d.txt")).unwrap(), dir.path().join("a/b"), "made before");
        for refused in ["link/x/y", "file/x"] {
            assert_eq!(folder_of(dir.path(), &path(refused)).unwrap_err().exit(), Exit::Conflict, "{refused}");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        std::os::unix::fs::symlink("/nonexistent", dir.path().join("dangling")).unwrap();
        assert!(is_there(dir.path(), &path("dangling")) && !is_there(dir.path(), &path("none")));
    }
}
