//! Tables from NumPy's `.npy` files.

use super::{open, Table};
use crate::error::{Error, Result};
use npyz::{DType, NpyFile, Order, TypeChar};
use std::io::BufReader;
use std::path::Path;

/// Reads a two-dimensional array of little-endian 32- or 64-bit floats in C order; columns are named x1, x2, …
///
/// # Errors
/// If the file is missing, truncated, of another type, rank or order, or holds a value that is not finite.
pub fn read_npy(path: &Path) -> Result<Table> {
    let refuse = |message: String| Error::input(path, message);
    let file = open(path)?;
    let length = file.metadata().map_err(|error| Error::input(path, error))?.len();
    let npy =
        NpyFile::new(BufReader::new(file)).map_err(|error| refuse(format!("is not a whole .npy file ({error})")))?;
    let &[rows, columns] = npy.shape() else {
        return Err(refuse(format!(
            "holds an array of shape {:?}; two dimensions, rows and columns, are right",
            npy.shape()
        )));
    };
    let dtype = npy.dtype();
    let size = match &dtype {
        DType::Plain(kind) if kind.type_char() == TypeChar::Float => kind.size_field(),
        _ => 0,
    };
    if npy.order() != Order::C {
        return Err(refuse("is in Fortran order; save it with numpy.ascontiguousarray".into()));
    }
    // Nothing is allocated before the header's claim is compared with the length of the file.
    let claimed = rows.checked_mul(columns).and_then(|cells| cells.checked_mul(size.max(1)));
    if claimed.is_none_or(|bytes| bytes > length) {
        return Err(refuse(format!("claims {rows} × {columns} numbers but has {length} bytes: it is truncated")));
    }
    let truncated = |error: std::io::Error| refuse(format!("is truncated ({error})"));
    let wrong =
        || refuse(format!("holds type {}; <f4 or <f8 (float32 or float64, little-endian) is right", dtype.descr()));
    if !dtype.descr().contains('<') {
        return Err(wrong());
    }
    let values: Vec<f64> = match size {
        4 => {
            let values: Vec<f32> = npy.into_vec().map_err(truncated)?;
            values.into_iter().map(f64::from).collect()
        }
        8 => npy.into_vec().map_err(truncated)?,
        _ => return Err(wrong()),
    };
    let names = (1..=columns).map(|i| format!("x{i}")).collect();
    Table::new(names, values).map_err(|error| refuse(error.to_string()))
}
