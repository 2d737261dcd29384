//! Files that are written whole or not at all: to a temporary name beside them, synced, then renamed.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::{NamedTempFile, TempDir};

/// How the name of a draft begins and ends.
const DRAFT: (&str, &str) = (".flowdistill-", ".tmp");

/// Whether this is the name of a draft, which stays behind where a process is killed.
pub fn is_draft(name: &str) -> bool {
    name.starts_with(DRAFT.0) && name.ends_with(DRAFT.1)
}

/// Makes what was renamed in a folder durable; where folders cannot be opened it has to do without.
///
/// # Errors
/// If the system refuses.
pub fn sync_folder(path: &Path) -> Result<()> {
    match File::open(path) {
        Ok(folder) => folder.sync_all().map_err(|error| Error::output(path, error)),
        Err(_) => Ok(()),
    }
}

/// The drafts that there are.
static DRAFTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn drafts() -> MutexGuard<'static, Vec<PathBuf>> {
    // A list of paths is as good as before whatever panicked meanwhile.
    DRAFTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all drafts; for a process that ends at once, in which nothing is dropped.
/// No other draft begins any more: whoever wants one waits for the end.
pub fn abandon_drafts() {
    let drafts = drafts();
    for path in drafts.iter() {
        // One that has become its file, or cannot be removed: nothing is left to be done.
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
    // No other draft can begin while the list is held, which it is to the end.
    std::mem::forget(drafts);
}

/// A place in the list of drafts, as long as it lives.
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        drafts().retain(|path| *path != self.0);
    }
}

/// A file that comes into being with [`Draft::commit`]; dropped before, it leaves nothing behind.
pub struct Draft {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
    // After the file, so that none is on the disk that is not in the list.
    listed: Listed,
}

impl Draft {
    /// A draft of `path`, in the same folder so that renaming it is one step.
    ///
    /// # Errors
    /// If the folder does not exist or cannot be written, or `path` is a folder.
    pub fn create(path: &Path) -> Result<Self> {
        let refuse = |error| Error::output(path, error);
        if path.is_dir() {
            return Err(refuse(std::io::Error::other("it is a folder")));
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(DRAFT.0).suffix(DRAFT.1);
        // Temporary files are private by default; this one is to become an ordinary file, as far as the umask allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut drafts = drafts();
        let file = builder.tempfile_in(folder).map_err(refuse)?;
        drafts.push(file.path().to_path_buf());
        let listed = Listed(file.path().to_path_buf());
        Ok(Self { path: path.to_path_buf(), out: BufWriter::with_capacity(1 << 16, file), listed })
    }

    /// Sets aside room for `bytes` bytes, so that a file which the disk cannot hold is refused before it is computed. Where the file
    /// system cannot do that, it does nothing.
    ///
    /// # Errors
    /// If the disk has no room for them.
    pub fn reserve(&self, bytes: u64) -> Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{fallocate, fstatvfs, FallocateFlags};
            use rustix::io::Errno;
            let file = self.out.get_ref().as_file();
            // Asked first, since a request that cannot be met may fill the disk for a moment before it fails.
            let free = fstatvfs(file).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
            let reserved = match free < bytes {
                true => Err(Errno::NOSPC),
                false => fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes),
            };
            if let Some(error) = reserved.err().filter(|e| [Errno::NOSPC, Errno::FBIG, Errno::DQUOT].contains(e)) {
                let message = format!("{bytes} bytes do not fit on the disk ({error})");
                return Err(Error::output(&self.path, std::io::Error::other(message)));
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = bytes;
        Ok(())
    }

    /// Makes the file appear under its name, replacing what was there.
    ///
    /// # Errors
    /// If something cannot be written.
    pub fn commit(self) -> Result<()> {
        let Self { path, out, listed } = self;
        let refuse = |error| Error::output(&path, error);
        let file = out.into_inner().map_err(|error| refuse(error.into_error()))?;
        file.as_file().sync_all().map_err(refuse)?;
        let folder = file.path().parent().map(Path::to_path_buf);
        file.persist(&path).map_err(|error| refuse(error.error))?;
        drop(listed);
        // The rename itself is durable once the folder is synced.
        folder.map_or(Ok(()), |folder| sync_folder(&folder))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// A folder of files that comes into being with [`DraftFolder::commit`]; dropped before, it leaves nothing behind.
pub struct DraftFolder {
    path: PathBuf,
    draft: TempDir,
    // After the folder, so that none is on the disk that is not in the list.
    _listed: Listed,
}

impl DraftFolder {
    /// A draft of the folder `path`. One that is there already is replaced if it holds the file `mark`, by which its kind is known.
    ///
    /// # Errors
    /// If something else is at `path`, or its parent does not exist or cannot be written.
    pub fn create(path: &Path, mark: &str) -> Result<Self> {
        let refuse = |error| Error::output(path, error);
        if path.exists() && !path.join(mark).is_file() {
            return Err(refuse(std::io::Error::other("something else is there")));
        }
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(DRAFT.0).suffix(DRAFT.1);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let mut drafts = drafts();
        let draft = builder.tempdir_in(parent).map_err(refuse)?;
        drafts.push(draft.path().to_path_buf());
        let _listed = Listed(draft.path().to_path_buf());
        Ok(Self { path: path.to_path_buf(), draft, _listed })
    }

    /// Writes one of its files to the disk, `/` between the folders that it is in.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let place = self.draft.path().join(name);
        let made = place.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(&place));
        let written = made.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|error| Error::output(&self.path, error))
    }

    /// Makes the folder appear under its name, in one step with the going of what was there where the system can do that.
    ///
    /// # Errors
    /// If something cannot be moved.
    pub fn commit(self) -> Result<()> {
        let Self { path, draft, .. } = self;
        let refuse = |error| Error::output(&path, error);
        sync_folders(draft.path())?;
        if path.exists() {
            // The old one goes with the draft, whose place it has now.
            exchange(draft.path(), &path).map_err(refuse)?;
        } else {
            std::fs::rename(draft.path(), &path).map_err(refuse)?;
            let _moved = draft.keep();
        }
        path.parent().filter(|parent| *parent != Path::new("")).map_or(Ok(()), sync_folder)
    }
}

/// Makes the names in a folder and in those inside of it durable.
fn sync_folders(path: &Path) -> Result<()> {
    let refuse = |error| Error::output(path, error);
    for entry in std::fs::read_dir(path).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        if entry.file_type().map_err(refuse)?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(path)
}

/// Has two folders take each other's place.
fn exchange(new: &Path, old: &Path) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{renameat_with, RenameFlags, CWD};
        use rustix::io::Errno;
        match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
            // The file system cannot do it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done.map_err(Into::into),
        }
    }
    let aside = new.with_extension(format!("old{}", DRAFT.1));
    std::fs::rename(old, &aside)?;
    if let Err(error) = std::fs::rename(new, old) {
        // What was there is put back; if that fails, too, the first failure is what there is to say.
        let _ = std::fs::rename(&aside, old);
        return Err(error);
    }
    std::fs::rename(&aside, new)
}

/// Writes a whole file at once.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = Draft::create(path)?;
    draft.write_all(bytes).map_err(|error| Error::output(path, error))?;
    draft.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_the_place_of_another_whole_or_not_at_all() {
        let at = tempfile::tempdir().expect("a folder");
        let path = at.path().join("store");
        let write = |text: &str| {
            let draft = DraftFolder::create(&path, "mark").expect("a draft");
            draft
                .write("mark", b"")
                .and_then(|()| draft.write(&format!("in/{text}"), text.as_bytes()))
                .expect("written");
            draft
        };
        let names = |path: &Path| {
            let entries = std::fs::read_dir(path).expect("listed").map(|entry| entry.expect("one").file_name());
            let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        for text in ["first", "second"] {
            drop(write("never"));
            write(text).commit().expect("there");
            assert_eq!(names(at.path()), ["store"], "nothing is left beside it");
            assert_eq!(names(&path.join("in")), [text], "and nothing of the one before");
        }
        std::fs::create_dir(at.path().join("other")).expect("made");
        assert!(DraftFolder::create(&at.path().join("other"), "mark").is_err());
    }
}
