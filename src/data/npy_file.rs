//! Tables from NumPy's `.npy` and `.npz` files.

use super::{open, Table};
use crate::error::{Error, Result};
use npyz::{DType, NpyFile, Order, TypeChar};
use std::io::{BufReader, Read};
use std::path::Path;

/// Reads a two-dimensional array of little-endian 32- or 64-bit floats in C order; columns are named x1, x2, …
///
/// # Errors
/// If the file is missing, truncated, of another type, rank or order, or holds a value that is not finite.
pub fn read_npy(path: &Path) -> Result<Table> {
    let file = open(path)?;
    let length = file.metadata().map_err(|error| Error::input(path, error))?.len();
    read_array(BufReader::new(file), length).map_err(|message| Error::input(path, message))
}

/// Reads one array of an archive, as [`read_npy`] does; its name may be left out where there is only one.
///
/// # Errors
/// As [`read_npy`]; if the file is not an archive, or has no such array.
pub fn read_npz(path: &Path, array: Option<&str>) -> Result<Table> {
    let refuse = |message: String| Error::input(path, message);
    let broken = |error: zip::result::ZipError| refuse(format!("is not a whole .npz file ({error})"));
    let mut archive = zip::ZipArchive::new(BufReader::new(open(path)?)).map_err(broken)?;
    let arrays: Vec<String> =
        archive.file_names().filter_map(|name| name.strip_suffix(".npy")).map(str::to_string).collect();
    let name = match (array, &arrays[..]) {
        (Some(name), _) if arrays.iter().any(|array| array == name) => name,
        (None, [only]) => only,
        (Some(name), _) => return Err(refuse(format!("has no array `{name}`; it has {}", arrays.join(", ")))),
        (None, _) => {
            return Err(refuse(format!("has {} arrays ({}); `array` chooses one", arrays.len(), arrays.join(", "))))
        }
    };
    let entry = archive.by_name(&format!("{name}.npy")).map_err(broken)?;
    let length = entry.size();
    read_array(entry, length).map_err(|message| refuse(format!("array `{name}` {message}")))
}

/// Reads an array of which `length` bytes are said to be there.
fn read_array(reader: impl Read, length: u64) -> std::result::Result<Table, String> {
    let npy = NpyFile::new(reader).map_err(|error| format!("is not a whole .npy file ({error})"))?;
    let &[rows, columns] = npy.shape() else {
        return Err(format!("holds an array of shape {:?}; two dimensions, rows and columns, are right", npy.shape()));
    };
    let dtype = npy.dtype();
    let size = match &dtype {
        DType::Plain(kind) if kind.type_char() == TypeChar::Float => kind.size_field(),
        _ => 0,
    };
    if npy.order() != Order::C {
        return Err("is in Fortran order; save it with numpy.ascontiguousarray".into());
    }
    // Nothing is allocated before the header's claim is compared with the length of the file.
    let claimed = rows.checked_mul(columns).and_then(|cells| cells.checked_mul(size.max(1)));
    if claimed.is_none_or(|bytes| bytes > length) {
        return Err(format!("claims {rows} × {columns} numbers but has {length} bytes: it is truncated"));
    }
    if !dtype.descr().contains('<') || (size != 4 && size != 8) {
        return Err(format!("holds type {}; <f4 or <f8 (float32 or float64, little-endian) is right", dtype.descr()));
    }
    // Number by number: an archive may lie about the length too, and memory should follow what is really there.
    let mut values: Vec<f64> = Vec::new();
    let truncated = |error: std::io::Error| format!("is truncated ({error})");
    if size == 4 {
        for value in npy.data::<f32>().map_err(|error| error.to_string())? {
            values.push(f64::from(value.map_err(truncated)?));
        }
    } else {
        for value in npy.data::<f64>().map_err(|error| error.to_string())? {
            values.push(value.map_err(truncated)?);
        }
    }
    let names = (1..=columns).map(|i| format!("x{i}")).collect();
    Table::new(names, values).map_err(|error| error.to_string())
}
