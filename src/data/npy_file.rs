//! Tables from NumPy's `.npy` and `.npz` files.

use super::{fault_of_columns, may_unfold, Table};
use crate::error::{Error, Result};
use crate::{intake, memory, shown};
use npyz::{DType, Deserialize, NpyFile, Order, TypeChar};
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

/// Reads a two-dimensional array of floats, integers or booleans of any byte order, in C or Fortran order; columns are named x1, x2, …
///
/// # Errors
/// If the file is missing, truncated, of another type or rank, or holds a value that is not finite or too large an integer for a float.
pub fn read_npy(path: &Path) -> Result<Table> {
    let (file, length) = intake::open(path)?;
    read_array(BufReader::new(file), length).map_err(|message| Error::input(path, message))
}

/// Reads one array of an archive, as [`read_npy`] does; its name may be left out where there is only one.
///
/// # Errors
/// As [`read_npy`]; if the file is not an archive, or has no such array.
pub fn read_npz(path: &Path, array: Option<&str>) -> Result<Table> {
    let refuse = |message: String| Error::input(path, message);
    let broken = |error: zip::result::ZipError| refuse(format!("is not a whole .npz file ({error})"));
    let mut archive = zip::ZipArchive::new(BufReader::new(intake::open(path)?.0)).map_err(broken)?;
    let names = archive.file_names().collect::<std::result::Result<Vec<_>, _>>().map_err(broken)?;
    let arrays: Vec<String> = names.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_string).collect();
    drop(names);
    let name = match (array, &arrays[..]) {
        (Some(name), _) if arrays.iter().any(|array| array == name) => name,
        (None, [only]) => only,
        (Some(name), _) => return Err(refuse(format!("has no array `{name}`; it has {}", shown::list(&arrays)))),
        (None, _) => {
            return Err(refuse(format!("has {} arrays ({}); `array` chooses one", arrays.len(), shown::list(&arrays))))
        }
    };
    let entry = archive.by_name(&format!("{name}.npy")).map_err(broken)?;
    let (length, folded) = (entry.size(), entry.compressed_size());
    if !may_unfold(length, folded) {
        return Err(refuse(format!(
            "array `{}` unfolds from {folded} bytes to {length}; no table does",
            shown::quoted(name)
        )));
    }
    // An archive may lie about the length.
    let entry = entry.take(length);
    read_array(entry, length).map_err(|message| refuse(format!("array `{}` {message}", shown::quoted(name))))
}

type Reading<T> = std::result::Result<T, String>;

/// The longest header, and how deeply its brackets may be nested: far beyond what an array of numbers needs, and short of what takes a reader
/// of Python's expressions long.
const LONGEST_HEADER: usize = 1 << 16;
const DEEPEST: usize = 6;

/// Reads the header, checks it against those limits, and returns its bytes with the rest.
fn header<R: Read>(mut reader: R) -> Reading<(Vec<u8>, R)> {
    let cut = |error: std::io::Error| format!("is not a whole .npy file ({error})");
    let mut start = vec![0; 8];
    reader.read_exact(&mut start).map_err(cut)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err("is not a whole .npy file (it begins with something else)".into());
    }
    let wide = start[6] > 1;
    let mut length = [0; 4];
    reader.read_exact(&mut length[..if wide { 4 } else { 2 }]).map_err(cut)?;
    start.extend_from_slice(&length[..if wide { 4 } else { 2 }]);
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        return Err(format!("has a header of {length} bytes; at most {LONGEST_HEADER} are right"));
    }
    let from = start.len();
    start.resize(from + length, 0);
    reader.read_exact(&mut start[from..]).map_err(cut)?;
    let mut depth = 0usize;
    for byte in &start[from..] {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!(
                "has a header with more than {DEEPEST} brackets in each other; an array of numbers is right"
            ));
        }
    }
    Ok((start, reader))
}

/// Reads an array of which `length` bytes are said to be there.
fn read_array(reader: impl Read, length: u64) -> Reading<Table> {
    let (start, reader) = header(reader)?;
    let npy = NpyFile::new(Cursor::new(start).chain(reader));
    let npy = npy.map_err(|error| format!("is not a whole .npy file ({})", shown::quoted(&error.to_string())))?;
    let &[rows, columns] = npy.shape() else {
        let shape = shown::quoted(&format!("{:?}", npy.shape()));
        return Err(format!("holds an array of shape {shape}; two dimensions, rows and columns, are right"));
    };
    let dtype = npy.dtype();
    let (kind, size) = match &dtype {
        DType::Plain(kind) => (Some(kind.type_char()), kind.size_field()),
        _ => (None, 0),
    };
    // Nothing is allocated before the header's claim is compared with the length of the file.
    let claimed = rows.checked_mul(columns).and_then(|cells| cells.checked_mul(size.max(1)));
    if claimed.is_none_or(|bytes| bytes > length) {
        return Err(format!("claims {rows} × {columns} numbers but has {length} bytes: it is truncated"));
    }
    if let Some(fault) = fault_of_columns(columns) {
        return Err(fault);
    }
    if rows == 0 || columns == 0 {
        return Err(format!("holds {rows} × {columns} numbers; at least one row and one column are right"));
    }
    // It doubles when it grows, and is copied once more when it is divided.
    memory::weigh("to hold its numbers", 3.0 * 8.0 * (rows * columns) as f64)?;
    let fortran = npy.order() == Order::Fortran;
    let values = match (kind, size) {
        (Some(TypeChar::Float), 8) => numbers(npy, |value: f64| Some(value)),
        (Some(TypeChar::Float), 4) => numbers(npy, |value: f32| Some(f64::from(value))),
        (Some(TypeChar::Int), 8) => numbers(npy, |value: i64| exact(i128::from(value))),
        (Some(TypeChar::Int), 4) => numbers(npy, |value: i32| Some(f64::from(value))),
        (Some(TypeChar::Int), 2) => numbers(npy, |value: i16| Some(f64::from(value))),
        (Some(TypeChar::Int), 1) => numbers(npy, |value: i8| Some(f64::from(value))),
        (Some(TypeChar::Uint), 8) => numbers(npy, |value: u64| exact(i128::from(value))),
        (Some(TypeChar::Uint), 4) => numbers(npy, |value: u32| Some(f64::from(value))),
        (Some(TypeChar::Uint), 2) => numbers(npy, |value: u16| Some(f64::from(value))),
        (Some(TypeChar::Uint), 1) => numbers(npy, |value: u8| Some(f64::from(value))),
        (Some(TypeChar::Bool), 1) => numbers(npy, |value: bool| Some(f64::from(u8::from(value)))),
        _ => Err(format!("holds type {}; floats of 32 or 64 bits, integers and booleans are right", dtype.descr())),
    };
    let mut values = values?;
    if fortran {
        // Column after column.
        let (rows, columns) = (rows as usize, columns as usize);
        values = (0..values.len()).map(|cell| values[cell % columns * rows + cell / columns]).collect();
    }
    let names = (1..=columns).map(|i| format!("x{i}")).collect();
    Table::new(names, values).map_err(|error| error.to_string())
}

/// An integer as a float, if there is one.
fn exact(value: i128) -> Option<f64> {
    (value.unsigned_abs() <= 1 << 53).then_some(value as f64)
}

/// The numbers of an array in the order in which they are stored.
fn numbers<T: Deserialize, R: Read>(npy: NpyFile<R>, of: impl Fn(T) -> Option<f64>) -> Reading<Vec<f64>> {
    // Number by number: an archive may lie about the length too, and memory should follow what is really there.
    let mut values: Vec<f64> = Vec::new();
    for value in npy.data::<T>().map_err(|error| error.to_string())? {
        let value = value.map_err(|error| format!("is truncated ({error})"))?;
        values.push(of(value).ok_or("holds an integer beyond 2^53, which no 64-bit float is; a smaller one is right")?);
    }
    Ok(values)
}
