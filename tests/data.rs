//! Tables in and out, wrong files, standardisation, division of rows, durable files.

#[path = "common/npy.rs"]
mod npy;

use flowdistill::data::{read, read_csv, read_npy, read_npz, CsvOptions, RowWriter, Split, Table};
use flowdistill::durable::Draft;
use flowdistill::flow::{Link, Standardisation};
use flowdistill::seed::Seed;
use npy::npy;
use std::io::Write;
use std::path::PathBuf;
use tempfile::{tempdir, TempDir};

fn folder_with(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

const AWKWARD: [f64; 6] = [0.1, -1e-300, 1.0 / 3.0, 6.02e23, -0.0, 123_456_789.123_456_78];

#[test]
fn tables_come_back_bit_for_bit() {
    for file in ["table.csv", "table.npy"] {
        let folder = tempdir().expect("a temporary folder");
        let path = folder.path().join(file);
        let mut writer = RowWriter::to_path(&path, &names(&["x1", "x2"]), 3).expect("a writer");
        writer.write_rows(&AWKWARD[..4], 2).expect("written");
        writer.write_rows(&AWKWARD[4..], 2).expect("written");
        assert!(!path.exists(), "{file} must not appear before it is whole");
        writer.finish().expect("finished");
        let table = read(&path, None).expect("read");
        assert_eq!(table.names, ["x1", "x2"]);
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&table.values), bits(&AWKWARD), "{file}");
    }
}

#[test]
fn columns_are_chosen_and_ordered_by_name() {
    let (_folder, path) = folder_with("t.csv", b"a,b,c\n1,2,3\n4,5,6\n");
    let table = read(&path, Some(&names(&["c", "a"]))).expect("read");
    assert_eq!(table, Table::new(names(&["c", "a"]), vec![3.0, 1.0, 6.0, 4.0]).expect("a table"));
    let (_folder, path) = folder_with("t.csv", b"\xef\xbb\xbfa, b\r\n1 , 2e1\r\n");
    let table = read(&path, None).expect("a byte-order mark, spaces and carriage returns are no harm");
    assert_eq!((table.names, table.values), (names(&["a", "b"]), vec![1.0, 20.0]));
}

#[test]
fn wrong_csv_files_are_refused_with_their_place() {
    for (text, words) in [
        (&b"a,b\n1,2\n3,oops\n"[..], &["line 3", "`b`", "`oops`"][..]),
        (b"a,b\n1,\n", &["line 2", "`b`", "nothing"]),
        (b"a,b\n1,2\n3\n", &["line 3", "1 cells", "2"]),
        (b"a,b\n1,NaN\n", &["line 2", "`b`", "NaN"]),
        (b"a,b\n1,1e999\n", &["line 2", "`b`", "1e999"]),
        (b"a,b\n", &["no rows"]),
        (b"", &["empty"]),
        (b"a,a\n1,2\n", &["`a`", "twice"]),
        (b"a,\n1,2\n", &["column 2", "no name"]),
        (b"a,b\n1,\xff\n", &["line 2", "`b`"]),
        (b"\xff,b\n1,2\n", &["UTF-8"]),
    ] {
        let (_folder, path) = folder_with("t.csv", text);
        let error = read(&path, None).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        let message = error.to_string();
        assert!(message.contains("t.csv"), "{message}");
        words.iter().for_each(|word| assert!(message.contains(word), "{message} should say {word}"));
    }
    let (_folder, path) = folder_with("t.csv", b"a,b\n1,2\n");
    let message = read(&path, Some(&names(&["q"]))).expect_err("refused").to_string();
    assert!(message.contains("`q`") && message.contains("a, b"), "{message}");
    let folder = tempdir().expect("a temporary folder");
    assert!(read_csv(folder.path(), &CsvOptions::default()).expect_err("refused").to_string().contains("folder"));
    assert_eq!(read(&folder.path().join("none.csv"), None).expect_err("refused").exit_code(), 2);
}

#[test]
fn single_precision_arrays_are_read() {
    let data: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let (_folder, path) = folder_with("t.npy", &npy("<f4", "False", "(1, 2)", &data));
    assert_eq!(read_npy(&path).expect("read").values, [1.5, -2.0]);
}

#[test]
fn wrong_npy_files_are_refused() {
    let two: Vec<u8> = [1.0f64, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let nan: Vec<u8> = [1.0f64, f64::NAN].iter().flat_map(|value| value.to_le_bytes()).collect();
    for (bytes, words) in [
        (npy("<c16", "False", "(1, 1)", &two), &["<c16", "integers"][..]),
        (npy("<i8", "False", "(1, 2)", &two), &["beyond 2^53"]),
        (npy("<f8", "False", "(2,)", &two), &["two dimensions"]),
        (npy("<f8", "False", "(1, 2, 1)", &two), &["two dimensions"]),
        (npy("<f8", "False", "(2, 2)", &two), &["truncated"]),
        (npy("<f8", "False", "(999999999999, 999999999)", &two), &["truncated"]),
        (npy("<f8", "False", "(1, 2)", &nan), &["row 1", "`x2`", "NaN"]),
        (npy("<f8", "False", "(0, 2)", &[]), &["at least one"]),
        (npy("<f8", "False", "(1, 2)", &two)[..40].to_vec(), &["not a whole .npy file"]),
        (b"hello".to_vec(), &["not a whole .npy file"]),
        (Vec::new(), &["not a whole .npy file"]),
    ] {
        let (_folder, path) = folder_with("t.npy", &bytes);
        let message = read_npy(&path).expect_err("refused").to_string();
        words.iter().for_each(|word| assert!(message.contains(word), "{message} should say {word}"));
    }
    let (_folder, path) = folder_with("t.npy", &npy("<f8", "False", "(1, 2)", &two));
    assert!(read(&path, Some(&names(&["a"]))).is_err(), "an array has no names");
    let (_folder, path) = folder_with("t.doc", b"1");
    assert!(read(&path, None).expect_err("refused").to_string().contains(".csv"));
}

#[test]
fn archives_are_read_by_the_name_of_an_array() {
    let data: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let archive = |arrays: &[&str]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in arrays {
            let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            zip.start_file(format!("{name}.npy"), options).expect("an entry");
            zip.write_all(&npy("<f8", "False", "(1, 2)", &data)).expect("written");
        }
        zip.finish().expect("an archive").into_inner()
    };
    let (_folder, path) = folder_with("t.npz", &archive(&["a"]));
    assert_eq!(read(&path, None).expect("read").values, [1.5, -2.0]);
    let (_folder, path) = folder_with("t.npz", &archive(&["a", "b"]));
    assert_eq!(read_npz(&path, Some("b")).expect("read").values, [1.5, -2.0]);
    for (name, word) in [(None, "chooses one"), (Some("c"), "no array `c`")] {
        let message = read_npz(&path, name).expect_err("refused").to_string();
        assert!(message.contains(word), "{message}");
    }
    let bytes = archive(&["a"]);
    for len in (0..bytes.len()).step_by(11) {
        std::fs::write(&path, &bytes[..len]).expect("written");
        assert!(read_npz(&path, None).is_err(), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn missing_values_are_refused_or_dropped_and_delimiters_are_taken() {
    let (_folder, path) = folder_with("t.csv", b"a;b\n1;2\n3;\nNA;4\n5;6\n");
    let options = CsvOptions::default();
    let message = read_csv(&path, &options).expect_err("refused").to_string();
    assert!(message.contains("line 3") && message.contains("missing: Drop"), "{message}");
    let (table, dropped) = read_csv(&path, &CsvOptions { drop_missing: true, ..options.clone() }).expect("read");
    assert_eq!((table.values, dropped), (vec![1.0, 2.0, 5.0, 6.0], 2));
    let (_folder, path) = folder_with("t.csv", b"a;b\n1;x\n");
    assert!(read_csv(&path, &CsvOptions { drop_missing: true, ..options }).is_err(), "text is not a missing value");
}

/// A standardisation of five columns with every kind of link, and rows within its bounds.
fn linked() -> (Standardisation, Vec<f64>) {
    let mut rows = vec![0.0; 5 * 40];
    Seed(1).stream("rows").normals(0, 5, &mut rows);
    for row in rows.chunks_mut(5) {
        row[0] = 1e3 + 5.0 * row[0];
        row[1] = row[1].exp();
        row[2] = 7.0 + (2.0 * row[2]).exp();
        row[3] = 1.0 / (1.0 + (-row[3]).exp());
        row[4] = -10.0 + 30.0 / (1.0 + (-3.0 * row[4]).exp());
    }
    let links =
        vec![Link::Identity, Link::Above(0.0), Link::Above(7.0), Link::Between(0.0, 1.0), Link::Between(-10.0, 20.0)];
    let standardisation = Standardisation::fit(&rows, &names(&["a", "b", "c", "d", "e"]), links, true).expect("fitted");
    (standardisation, rows)
}

#[test]
fn standardisation_is_its_own_inverse_and_fits_what_is_behind_the_links() {
    let (standardisation, rows) = linked();
    let (mut z, mut into, mut back) = (rows.clone(), vec![0.0; 40], vec![0.0; 40]);
    standardisation.apply(&mut z, &mut into);
    for column in 0..5 {
        let values: Vec<f64> = z.iter().skip(column).step_by(5).copied().collect();
        assert!(values.iter().sum::<f64>().abs() < 1e-10);
        assert!((values.iter().map(|v| v * v).sum::<f64>() / 40.0 - 1.0).abs() < 1e-10);
    }
    let mut u = z.clone();
    standardisation.undo(&mut u, &mut back);
    assert!(rows.iter().zip(&u).all(|(a, b)| (a - b).abs() < 1e-10 * (1.0 + a.abs())));
    assert!(into.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-9));
    // However far out a draw is, it keeps the bounds.
    let mut far = vec![-30.0; 5];
    standardisation.undo(&mut far, &mut [0.0]);
    assert!(far[1] >= 0.0 && far[2] >= 7.0 && far[3] >= 0.0 && far[4] >= -10.0);
}

#[test]
fn jacobians_and_gradients_of_links_are_central_differences() {
    let (standardisation, rows) = linked();
    let mut z = rows[..5].to_vec();
    standardisation.apply(&mut z, &mut [0.0]);
    let undo = |z: &[f64]| {
        let (mut u, mut log_jacobian) = (z.to_vec(), [0.0]);
        standardisation.undo(&mut u, &mut log_jacobian);
        (u, log_jacobian[0])
    };
    let step = 1e-5;
    let moved = |i: usize, shift: f64| {
        let mut moved = z.clone();
        moved[i] += shift;
        undo(&moved)
    };
    let slopes: Vec<f64> = (0..5).map(|i| (moved(i, step).0[i] - moved(i, -step).0[i]) / (2.0 * step)).collect();
    let log_jacobian: f64 = slopes.iter().map(|slope| slope.ln()).sum();
    assert!((undo(&z).1 - log_jacobian).abs() < 1e-7);

    // log γ(u) = Σ sin u: its gradient by z, with the Jacobian's.
    let value = |(u, log_jacobian): (Vec<f64>, f64)| u.iter().map(|u| u.sin()).sum::<f64>() + log_jacobian;
    let mut pulled: Vec<f64> = undo(&z).0.iter().map(|u| u.cos()).collect();
    let by_user = pulled.clone();
    standardisation.pull_back(&z, &mut pulled);
    for (i, pulled) in pulled.iter().enumerate() {
        let difference = (value(moved(i, step)) - value(moved(i, -step))) / (2.0 * step);
        assert!((pulled - difference).abs() < 1e-6 * (1.0 + difference.abs()), "coordinate {i}");
    }
    // One is the inverse of the other.
    standardisation.push_forward(&z, &mut pulled);
    assert!(pulled.iter().zip(by_user).all(|(a, b)| (a - b).abs() < 1e-9), "{pulled:?}");
}

#[test]
fn values_outside_their_bounds_are_refused_by_name() {
    for (link, words) in [(Link::Above(0.0), "above 0"), (Link::Between(0.0, 1.0), "below 1")] {
        for bad in [0.0, -1.0] {
            let error = Standardisation::fit(&[0.5, bad], &names(&["a"]), vec![link], true).expect_err("refused");
            let message = error.to_string();
            assert!(message.contains("row 2") && message.contains("`a`") && message.contains(words), "{message}");
        }
    }
}

#[test]
fn a_constant_column_is_refused_by_name() {
    let error =
        Standardisation::fit(&[1.0, 7.1, 2.0, 7.1, 3.0, 7.1], &names(&["a", "b"]), vec![], true).expect_err("refused");
    assert!(error.to_string().contains("`b`"), "{error}");
}

#[test]
fn a_split_is_a_partition_fixed_by_its_stream() {
    let split = Split::new(103, 0.1, 0.2, &Seed(1).stream("split")).expect("a split");
    assert_eq!((split.validation.len(), split.test.len(), split.train.len()), (10, 21, 72));
    let mut all = [split.train.clone(), split.validation.clone(), split.test.clone()].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..103));
    assert_eq!(split, Split::new(103, 0.1, 0.2, &Seed(1).stream("split")).expect("a split"));
    assert_ne!(split, Split::new(103, 0.1, 0.2, &Seed(2).stream("split")).expect("a split"));
    assert!(Split::new(3, 0.1, 0.1, &Seed(1).stream("split")).expect_err("refused").to_string().contains("3 rows"));
}

#[test]
fn an_npy_file_gets_the_rows_that_it_promises_or_does_not_appear() {
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join("short.npy");
    let mut writer = RowWriter::to_path(&path, &names(&["a"]), 2).expect("a writer");
    writer.write_rows(&[1.0], 1).expect("written");
    assert!(writer.finish().is_err());
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0, "nothing is left behind");
}

#[test]
fn drafts_appear_whole_or_leave_nothing() {
    let (folder, path) = folder_with("file", b"old");
    let mut draft = Draft::create(&path).expect("a draft");
    draft.write_all(b"new").expect("written");
    assert_eq!(std::fs::read(&path).expect("read"), b"old");
    drop(draft);
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing is left behind");
    let mut draft = Draft::create(&path).expect("a draft");
    draft.write_all(b"new").expect("written");
    draft.commit().expect("committed");
    assert_eq!(std::fs::read(&path).expect("read"), b"new");
    assert!(Draft::create(&folder.path().join("none/file")).is_err());
    assert!(Draft::create(folder.path()).is_err(), "a folder is not replaced");
}
