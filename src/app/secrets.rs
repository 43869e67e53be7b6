//! Files that settings name: secrets and certificates.
//!
//! A bare name is looked for among systemd's credentials first (`LoadCredential`, `$CREDENTIALS_DIRECTORY`), then
//! beside the settings file. A file that others may read is refused. Credentials are not asked: systemd guards their
//! directory, and what it lets the daemon read it may write down as a right of the group (an ACL shows as mode 0440).

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where secrets are.
#[derive(Debug, Clone)]
pub struct Secrets {
    credentials: Option<PathBuf>,
    base: PathBuf,
}

/// No secret is larger.
const MAX_BYTES: u64 = 1 << 20;

impl Secrets {
    /// For the settings file at `settings`.
    #[must_use]
    pub fn new(settings: &Path) -> Self {
        Self {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            base: settings.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }

    /// The file that a setting names.
    #[must_use]
    pub fn place(&self, named: &Path) -> PathBuf {
        let bare = named.components().count() == 1 && !named.is_absolute();
        let credential = self.credentials.as_ref().filter(|_| bare).map(|dir| dir.join(named));
        credential.filter(|path| path.exists()).unwrap_or_else(|| self.base.join(named))
    }

    /// `Err` if the secret at `path` (from [`place`](Self::place)) may be read by others than its owner.
    pub fn closed(&self, path: &Path) -> io::Result<()> {
        if self.credentials.as_ref().is_some_and(|dir| path.starts_with(dir)) {
            return Ok(());
        }
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("others may read it (mode {mode:03o}); a secret needs 0600: chmod 600 {}", path.display()),
        ))
    }

    /// Reads it. Refused if it can be read by others and is not a public certificate (`.crt`, `.pem` with nothing
    /// private in it).
    pub fn read(&self, named: &Path) -> io::Result<Vec<u8>> {
        let path = self.place(named);
        let meta = fs::metadata(&path).map_err(|e| missing(&path, e))?;
        if meta.len() > MAX_BYTES {
            return Err(io::Error::other("larger than 1 MiB"));
        }
        let bytes = fs::read(&path)?;
        let certificate = bytes.starts_with(b"-----BEGIN CERTIFICATE") && !contains(&bytes, b"PRIVATE KEY");
        if !certificate {
            self.closed(&path)?;
        }
        Ok(bytes)
    }
}

/// What to do about a secret that is not there: whoever starts the daemon for the first time has made none.
fn missing(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    let ways =
        "write the secret into it (chmod 600), pass it as a systemd credential of that name, or leave the provider out";
    io::Error::new(error.kind(), format!("there is no file {}; {ways}", path.display()))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_refused_and_a_certificate_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets { credentials: Some(dir.path().join("creds")), base: dir.path().to_owned() };
        let put = |name: &str, text: &str, mode| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("open", "s3cret", 0o644);
        put("closed", "s3cret", 0o600);
        put("ca.crt", "-----BEGIN CERTIFICATE-----", 0o644);
        put("creds/phone", "from systemd", 0o440);
        put("phone", "beside the settings", 0o600);
        let error = secrets.read(Path::new("open")).unwrap_err().to_string();
        assert!(error.contains("mode 644") && error.contains("chmod 600"), "{error}");
        assert_eq!(secrets.read(Path::new("closed")).unwrap(), b"s3cret");
        assert!(secrets.read(Path::new("ca.crt")).is_ok());
        assert_eq!(secrets.read(Path::new("phone")).unwrap(), b"from systemd");
        let error = secrets.read(Path::new("forgotten")).unwrap_err().to_string();
        assert!(error.contains("there is no file /") && error.contains("/forgotten; write the secret"), "{error}");
    }
}
