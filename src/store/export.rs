//! Copies of the state in a format of our own: the way to rebuild behind a trimmed log, and the way to another store.
//!
//! `magic | version | log number | chain hash | count of rows | zstd(rows) | BLAKE3 of all before`; a row is
//! `key length | row length | key | row`. Integers are little-endian, lengths 32 bits, the others 64.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::{Error, Head, io_error};

const MAGIC: [u8; 7] = *b"fwxprt\x00";
const VERSION: u8 = 1;
const HEAD: usize = 7 + 1 + 8 + 32 + 8;
const HASH: u64 = 32;
/// The largest key and the largest row that is read back.
const MAX_PART: u32 = 16 << 20;

/// A key and what it stands for.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// Writes an export of `count` rows, replacing what is at `path` as a whole.
pub(super) fn write<'a>(
    path: &Path,
    head: Head,
    count: usize,
    rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), Error> {
    let beside = path.with_extension("fwx.new");
    let written = File::create(&beside).and_then(|file| {
        write_to(&file, head, count, rows)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // A bare name is in the working directory, whose name is not the empty one.
        let dir = path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
        dir.map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    });
    written.map_err(|source| {
        // A leftover is overwritten by the next export.
        let _later = fs::remove_file(&beside);
        Error::Io { doing: "write the export", path: path.to_owned(), source }
    })
}

fn write_to<'a>(
    file: &File,
    head: Head,
    count: usize,
    rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> io::Result<()> {
    let mut out = Hashing { inner: BufWriter::new(file), hasher: blake3::Hasher::new() };
    out.write_all(&MAGIC)?;
    out.write_all(&[VERSION])?;
    out.write_all(&head.seq.to_le_bytes())?;
    out.write_all(&head.hash)?;
    out.write_all(&(count as u64).to_le_bytes())?;
    let mut packed = zstd::stream::write::Encoder::new(out, 3)?;
    for (key, row) in rows {
        for part in [key, row] {
            let len = u32::try_from(part.len()).ok().filter(|len| *len <= MAX_PART);
            let len = len.ok_or_else(|| io::Error::other(format!("a row of {} bytes is too large", part.len())))?;
            packed.write_all(&len.to_le_bytes())?;
        }
        packed.write_all(key)?;
        packed.write_all(row)?;
    }
    let Hashing { mut inner, hasher } = packed.finish()?;
    inner.write_all(hasher.finalize().as_bytes())?;
    inner.flush()
}

/// Checks an export's hash and gives the place it stands for.
pub(super) fn check(path: &Path) -> Result<Head, Error> {
    open(path).map(|(head, ..)| head)
}

/// Reads an export, checked.
pub(super) fn read(path: &Path) -> Result<(Head, Vec<Row>), Error> {
    let (head, count, packed) = open(path)?;
    let unusable = |why: String| Error::Export { path: path.to_owned(), why };
    let mut unpacked = zstd::stream::read::Decoder::new(packed).map_err(|e| unusable(e.to_string()))?;
    let mut rows = Vec::new();
    for _ in 0..count {
        let row = read_row(&mut unpacked).map_err(|e| unusable(e.to_string()))?;
        rows.push(row);
    }
    match unpacked.read(&mut [0]) {
        Ok(0) => Ok((head, rows)),
        _ => Err(unusable(format!("more follows its {count} rows"))),
    }
}

/// Exports in a directory, oldest first, by name; none if there is no directory.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error("read the directory", dir)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error("read the directory", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".fwx"));
        if let Some(seq) = name.and_then(|seq| seq.parse().ok()) {
            found.push((seq, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The checked head, the count of rows and a reader of the packed rows.
fn open(path: &Path) -> Result<(Head, u64, impl Read), Error> {
    let unusable = |why: &str| Error::Export { path: path.to_owned(), why: why.to_owned() };
    let open = || File::open(path).map_err(io_error("open", path));
    let size = open()?.metadata().map_err(io_error("read", path))?.len();
    let Some(body) = size.checked_sub(HASH).filter(|body| *body >= HEAD as u64) else {
        return Err(unusable("it is too short"));
    };
    let mut hasher = blake3::Hasher::new();
    let mut file = open()?;
    io::copy(&mut (&mut file).take(body), &mut hasher).map_err(io_error("read", path))?;
    let mut stored = [0; 32];
    file.read_exact(&mut stored).map_err(io_error("read", path))?;
    if hasher.finalize().as_bytes() != &stored {
        return Err(unusable("its checksum does not match"));
    }
    let mut packed = BufReader::new(open()?.take(body));
    let mut head = [0; HEAD];
    packed.read_exact(&mut head).map_err(io_error("read", path))?;
    if head[..7] != MAGIC || head[7] != VERSION {
        return Err(unusable("it is no export, or of another version"));
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(&head[16..48]);
    Ok((Head { seq: number(8), hash }, number(48), packed))
}

fn read_row(from: &mut impl Read) -> io::Result<Row> {
    let mut length = || {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes)?;
        match u32::from_le_bytes(bytes) {
            len if len <= MAX_PART => Ok(len as usize),
            len => Err(io::Error::other(format!("a row claims {len} bytes"))),
        }
    };
    let (key, row) = (length()?, length()?);
    let (mut key, mut row) = (vec![0; key], vec![0; row]);
    from.read_exact(&mut key)?;
    from.read_exact(&mut row)?;
    Ok((key, row))
}

/// Hashes what passes.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
