//! Tables as they come: dialects, compression, words, days, grids and weights, and the way back to them.

#[path = "common/npy.rs"]
mod npy;

use assert_cmd::Command;
use flowdistill::data::{
    read, read_csv, read_npy, read_text, Column, Columns, CsvOptions, Dialect, Grid, Header, Kind, RowWriter, Table,
    Text,
};
use flowdistill::experiment::{Plan, Spec};
use flowdistill::seed::Seed;
use npy::npy;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::{tempdir, TempDir};

fn folder_with(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).expect("written");
    gzip.finish().expect("compressed")
}

/// Reads `text` in a dialect; the names and the values.
fn table(text: &[u8], dialect: Dialect) -> Result<Table, String> {
    let (_folder, path) = folder_with("t.csv", text);
    read_csv(&path, &CsvOptions { dialect, ..CsvOptions::default() }).map(|read| read.0).map_err(|e| e.to_string())
}

fn text(text: &[u8], kinds: Vec<Column>) -> Result<Text, String> {
    let (_folder, path) = folder_with("t.csv", text);
    read_text(&path, &CsvOptions { kinds, ..CsvOptions::default() }).map_err(|error| error.to_string())
}

fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.into(), kind }
}

fn categories(name: &str) -> Column {
    column(name, Kind::Categories { words: vec![] })
}

fn words(words: &[&str]) -> Kind {
    Kind::Categories { words: words.iter().map(|word| word.to_string()).collect() }
}

const AUTO: Dialect = Dialect { delimiter: None, header: None, decimal: '.', comment: Some('#') };

#[test]
fn delimiters_are_found_out() {
    let right = Table::new(vec!["a b".into(), "c".into()], vec![1.5, 2.0, -3.0, 4e3]).expect("a table");
    for (text, what) in [
        (&b"a b,c\n1.5,2\n-3,4e3\n"[..], "comma"),
        (b"a b;c\n1.5;2\n-3;4e3", "semicolon, no last line end"),
        (b"a b\tc\r\n1.5\t2\r\n-3\t4e3\r\n", "tab, carriage returns"),
        (b"\"a b\"   c\n  1.5 \t 2  \n\n -3 4e3\n", "spaces"),
        (b"a b, c\n1.5, 2\n-3, 4e3\n", "comma and spaces"),
        (b"\"a b\";\"c\"\n\"1.5\";\"2\"\n\"-3\";\"4e3\"\n", "quoted numbers"),
        (b"# a;b;c\n#\na b,c\n1.5,2\n# no row\n-3,4e3\n#end\n", "comments"),
        (b"\xef\xbb\xbfa b,c\n1.5,2\n-3,4e3\n", "byte-order mark"),
    ] {
        assert_eq!(table(text, AUTO).as_ref(), Ok(&right), "{what}");
        let (_folder, path) = folder_with("t.csv.gz", &zipped(text));
        assert_eq!(read(&path, None).expect("read"), right, "{what}, compressed");
    }
    let one = table(b"my column\n1\n2\n", AUTO).expect("one column");
    assert_eq!((one.names, one.values), (vec!["my column".to_string()], vec![1.0, 2.0]));
    let given = table(b"a|b\n1|2\n", Dialect { delimiter: Some('|'), ..AUTO }).expect("read");
    assert_eq!(given.values, [1.0, 2.0]);
    let spaces = table(b"a b\n1  2\n", Dialect { delimiter: Some(' '), ..AUTO }).expect("read");
    assert_eq!(spaces.values, [1.0, 2.0]);
    // CmdStan's own: comments at the top, in the middle and at the end.
    let stan =
        b"# method = sample\nlp__,mu.1\n# Adaptation terminated\n-1.5,2\n-2,3\n# \n#  Elapsed Time: 0.1 seconds\n";
    assert_eq!(table(stan, AUTO).expect("read").values, [-1.5, 2.0, -2.0, 3.0]);
}

#[test]
fn lines_are_counted_with_comments_empty_lines_and_any_line_ends() {
    for (text, line) in [
        (&b"# one\n\na,b\n1,2\n# five\n3,oops\n"[..], 6),
        (b"a,b\r\n1,2\r\n\r\n3,oops\r\n", 4),
        (b"\"a\nb\",b\n1,2\n3,oops", 4),
        (b"# one\na,b\n# three\n1,2\n3\n", 5),
    ] {
        let error = table(text, AUTO).expect_err("refused");
        assert!(error.contains(&format!("line {line}")), "{error} should say line {line}");
    }
}

#[test]
fn headers_are_told_or_asked_for() {
    let without = Dialect { header: Some(false), ..AUTO };
    let read = table(b"1,2\n3,4\n", without).expect("read");
    assert_eq!((read.names, read.values), (vec!["c0".to_string(), "c1".into()], vec![1.0, 2.0, 3.0, 4.0]));
    let with = table(b"2001,2002\n3,4\n", Dialect { header: Some(true), ..AUTO }).expect("read");
    assert_eq!(with.names, ["2001", "2002"]);
    for numbers in [&b"1,2\n3,4\n"[..], b"1,NA\n3,4\n"] {
        let error = table(numbers, AUTO).expect_err("refused");
        assert!(error.contains("`header: false`") && error.contains("`header: true`"), "{error}");
    }
}

#[test]
fn decimal_commas_are_read_when_told() {
    let comma = Dialect { decimal: ',', ..AUTO };
    for text in [&b"a;b\n1,5;-2\n0,25;1e3\n"[..], b"a\tb\n1,5\t-2\n0,25\t1e3\n", b"a b\n1,5 -2\n0,25 1e3\n"] {
        assert_eq!(table(text, comma).expect("read").values, [1.5, -2.0, 0.25, 1000.0]);
    }
    assert_eq!(table(b"a\n1,5\n2,5\n", comma).expect("one column").values, [1.5, 2.5]);
    for (text, dialect, words) in [
        (&b"a;b\n1,5;2\n"[..], AUTO, &["line 2", "`a`", "`1,5`", "decimal: ','"][..]),
        (b"a;b\n1.5;2\n", comma, &["line 2", "`1.5`", "decimal comma"]),
        (b"a;b\n1.000,5;2\n", comma, &["line 2", "`1.000,5`"]),
    ] {
        let error = table(text, dialect).expect_err("refused");
        words.iter().for_each(|word| assert!(error.contains(word), "{error} should say {word}"));
    }
}

#[test]
fn dialects_that_cannot_be_are_refused() {
    for (dialect, word) in [
        (Dialect { delimiter: Some('é'), ..AUTO }, "delimiter is 'é'"),
        (Dialect { delimiter: Some('7'), ..AUTO }, "delimiter is '7'"),
        (Dialect { delimiter: Some(','), decimal: ',', ..AUTO }, "decimal point too"),
        (Dialect { delimiter: Some('#'), ..AUTO }, "comments too"),
        (Dialect { decimal: ';', ..AUTO }, "decimal is ';'"),
        (Dialect { decimal: '\'', ..AUTO }, "decimal is"),
        (Dialect { comment: Some('1'), ..AUTO }, "comment is '1'"),
        (Dialect { comment: Some('–'), ..AUTO }, "comment is '–'"),
    ] {
        let error = table(b"a;b\n1;2\n", dialect).expect_err("refused");
        assert!(error.contains(word), "{error} should say {word}");
    }
}

#[test]
fn compressed_files_are_bounded_and_broken_ones_refused() {
    let whole = zipped(b"a,b\n1,2\n3,4\n");
    for len in (2..whole.len()).step_by(5) {
        let (_folder, path) = folder_with("t.csv.gz", &whole[..len]);
        let error = read(&path, None).expect_err("refused");
        assert_eq!(error.exit_code(), 2, "{len}: {error}");
    }
    // Two members, one after the other, are one text.
    let (_folder, path) = folder_with("t.csv.gz", &[zipped(b"a,b\n1,2\n"), zipped(b"3,4\n")].concat());
    assert_eq!(read(&path, None).expect("read").values, [1.0, 2.0, 3.0, 4.0]);
    // 32 MiB of a line without end from 32 KiB.
    let (_folder, path) = folder_with("t.csv.gz", &zipped(&vec![b'1'; 1 << 25]));
    assert!(read(&path, None).expect_err("refused").to_string().contains("unfolds from"));
}

#[test]
fn booleans_are_two_words() {
    let read = text(b"a,b,c,d\n1,true,No,TRUE\n2,False,yes,F\n3,true,yes,f\n", vec![]);
    // `TRUE` and `F` are of different pairs.
    assert!(read.expect_err("refused").contains("`d`"));
    let read = text(b"a,b,c\n1,true,No\n2,False,yes\n3,TRUE,yes\n", vec![]).expect("read");
    let boolean = |no: &str, yes: &str| Kind::Boolean { words: [no.into(), yes.into()] };
    let kinds: Vec<Kind> = read.columns.0.iter().map(|column| column.kind.clone()).collect();
    assert_eq!(kinds, [Kind::Real, boolean("False", "true"), boolean("No", "yes")]);
    assert_eq!(read.table.values, [1.0, 1.0, 0.0, 2.0, 0.0, 1.0, 3.0, 1.0, 1.0]);
    assert_eq!(read.columns.coordinate_names(), ["a", "b=true", "c=yes"]);
}

#[test]
fn text_is_refused_with_its_distinct_values_or_taken_as_categories() {
    let rows = b"sex,x\nmale,1\nfemale,2\nother,3\nmale,4\n";
    let error = text(rows, vec![]).expect_err("refused");
    for word in ["`sex`", "3 distinct", "`male`", "categories: [\"sex\"]"] {
        assert!(error.contains(word), "{error} should say {word}");
    }
    let read = text(rows, vec![categories("sex")]).expect("read");
    // By letters, whatever the order of the rows.
    assert_eq!(read.columns.0[0].kind, words(&["female", "male", "other"]));
    assert_eq!(read.table.values, [1.0, 1.0, 0.0, 2.0, 2.0, 3.0, 1.0, 4.0]);
    assert_eq!(read.columns.coordinate_names(), ["sex=female", "sex=male", "sex=other", "x"]);
    assert_eq!(read.columns.expand(&read.table.values)[..4], [0.0, 1.0, 0.0, 1.0]);
    // Numbers that are mere names, by their size.
    let read = text(b"zone\n10\n9\n10\n100\n", vec![categories("zone")]).expect("read");
    assert_eq!(read.columns.0[0].kind, words(&["9", "10", "100"]));
    let many: String = (0..200).map(|i| format!("w{i},{i}\n")).collect();
    let error = text(format!("id,x\n{many}").as_bytes(), vec![]).expect_err("refused");
    assert!(
        error.contains("200 distinct") && error.contains("leaves it out") && !error.contains("categories:"),
        "{error}"
    );
    let error = text(format!("id,x\n{many}").as_bytes(), vec![categories("id")]).expect_err("refused");
    assert!(error.contains("200 distinct") && error.contains("2 to 100"), "{error}");
    let error = text(b"id,x\na,1\na,2\n", vec![categories("id")]).expect_err("refused");
    assert!(error.contains("1 distinct"), "{error}");
    // One bad cell at the top of numbers is that cell's fault.
    let error = text(b"a\noops\n1\n2\n3\n", vec![]).expect_err("refused");
    assert!(error.contains("line 2") && error.contains("`oops`"), "{error}");
    // Rows that are dropped have no words.
    let (_folder, path) = folder_with("t.csv", b"s,x\nu,1\nv,NA\nw,3\n");
    let options = CsvOptions { kinds: vec![categories("s")], drop_missing: true, ..CsvOptions::default() };
    let read = read_text(&path, &options).expect("read");
    assert_eq!((read.dropped, read.columns.0[0].kind.clone()), (1, words(&["u", "w"])));
}

#[test]
fn days_are_numbers_when_told() {
    let rows = b"day,x\n1970-01-02,1\n2024-02-29,2\n";
    let read = text(rows, vec![column("day", Kind::Days)]).expect("read");
    assert_eq!(read.table.values, [1.0, 1.0, 19782.0, 2.0]);
    assert_eq!(read.columns.0[0].cell(19782.3), "2024-02-29");
    let error = text(rows, vec![]).expect_err("refused");
    assert!(error.contains("dates: [\"day\"]"), "{error}");
    for bad in ["2023-02-29", "29.02.2024", "19782"] {
        let error =
            text(format!("day\n2024-01-01\n{bad}\n").as_bytes(), vec![column("day", Kind::Days)]).expect_err("refused");
        assert!(error.contains("line 3") && error.contains("ISO 8601"), "{error}");
    }
}

/// Every kind of column.
fn all_kinds() -> Columns {
    Columns(vec![
        Column::real("x"),
        column("t", Kind::Grid(Grid { origin: 0.05, step: 0.1 })),
        column("s", words(&["a, b", "c", "d \"e\""])),
        column("two", words(&["p", "q"])),
        column("yes", Kind::Boolean { words: ["no".into(), "yes".into()] }),
        column("day", Kind::Days),
    ])
}

#[test]
fn coordinates_are_dithered_within_their_cells_and_drawn_back() {
    let columns = all_kinds();
    let mut numbers = Vec::new();
    for i in 0..3000 {
        let i = f64::from(i);
        let tenth = (10.0 * (i % 7.0) + 0.5).round() / 10.0 + 0.05;
        numbers.extend([
            0.1 * i,
            (tenth * 100.0).round() / 100.0,
            i % 3.0,
            i % 2.0,
            (i + 1.0) % 2.0,
            19000.0 + i % 11.0,
        ]);
    }
    let places = columns.expand(&numbers);
    assert_eq!((columns.coordinates(), places.len()), (8, 3000 * 8));
    let mut points = places.clone();
    columns.dither(&mut points, &[], &Seed(1).stream("dither"));
    for (i, half) in [0.0, 0.05, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5].into_iter().enumerate() {
        let noise: Vec<f64> =
            points.iter().zip(&places).skip(i).step_by(8).map(|(point, place)| point - place).collect();
        assert!(noise.iter().all(|noise| noise.abs() <= half + 1e-9), "coordinate {i}");
        // Uniform: mean 0 and variance half² / 3, within five standard errors.
        let n = noise.len() as f64;
        let (mean, square) = (noise.iter().sum::<f64>() / n, noise.iter().map(|noise| noise * noise).sum::<f64>() / n);
        assert!(mean.abs() <= 5.0 * half / (3.0 * n).sqrt(), "coordinate {i}: mean {mean}");
        assert!((square - half * half / 3.0).abs() <= 5.0 * half * half * (4.0 / 45.0 / n).sqrt(), "coordinate {i}");
    }
    assert_eq!(columns.collapse(&points)[2..5], numbers[2..5], "words are those of the largest coordinate");
    columns.snap(&mut points);
    let back = columns.collapse(&points);
    for (i, (back, number)) in back.iter().zip(&numbers).enumerate() {
        assert!(if i % 6 == 0 { (back - number).abs() < 1e-12 } else { back == number }, "{i}: {back} for {number}");
    }
    // The noise of a row is its own.
    let mut first = places[..8].to_vec();
    columns.dither(&mut first, &[], &Seed(1).stream("dither"));
    let mut all = places.clone();
    columns.dither(&mut all, &[], &Seed(1).stream("dither"));
    assert_eq!(first, all[..8]);
    // A cell ends at the bound of its column.
    let whole = Columns(vec![column("n", Kind::Grid(Grid::WHOLE))]);
    let mut points = vec![1.0; 1000];
    whole.dither(&mut points, &[(0.9, 1.2)], &Seed(1).stream("dither"));
    assert!(points.iter().all(|&point| point > 0.9 && point < 1.2));
}

#[test]
fn words_and_days_are_written_as_they_are_read() {
    let (columns, numbers) = (all_kinds(), vec![0.5, 0.15, 0.0, 1.0, 1.0, 0.0, -1.0, 20.05, 2.0, 0.0, 0.0, 19782.0]);
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join("t.csv");
    let header = Header { names: &columns.names(), columns: Some(&columns), beside: &[], rows: 2 };
    let mut writer = RowWriter::of(&path, &header).expect("a writer");
    writer.write_rows(&numbers, 6).expect("written");
    writer.finish().expect("finished");
    let written = std::fs::read_to_string(&path).expect("text");
    let right = "x,t,s,two,yes,day\n0.5,0.15,\"a, b\",q,yes,1970-01-01\n-1,20.05,\"d \"\"e\"\"\",p,no,2024-02-29\n";
    assert_eq!(written, right);
    let read = read_text(&path, &CsvOptions { kinds: columns.0.clone(), ..CsvOptions::default() }).expect("read");
    assert_eq!(read.table.values, numbers);
    std::fs::write(&path, right.replace("q,", "r,")).expect("written");
    let options = CsvOptions { kinds: columns.0, ..CsvOptions::default() };
    let error = read_text(&path, &options).expect_err("refused").to_string();
    assert!(error.contains("line 2") && error.contains("`r`") && error.contains("`p`, `q`"), "{error}");
}

#[test]
fn arrays_of_any_order_and_type_are_read() {
    let bytes = |values: [f64; 6], of: fn(f64) -> Vec<u8>| values.into_iter().flat_map(of).collect::<Vec<u8>>();
    let (rows, by_column) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    type Stored = fn(f64) -> Vec<u8>;
    let cases: [(&str, Stored); 10] = [
        ("<f8", |x| x.to_le_bytes().to_vec()),
        (">f8", |x| x.to_be_bytes().to_vec()),
        ("<f4", |x| (x as f32).to_le_bytes().to_vec()),
        (">f4", |x| (x as f32).to_be_bytes().to_vec()),
        ("<i8", |x| (x as i64).to_le_bytes().to_vec()),
        (">i4", |x| (x as i32).to_be_bytes().to_vec()),
        ("<i2", |x| (x as i16).to_le_bytes().to_vec()),
        ("|i1", |x| vec![x as u8]),
        (">u8", |x| (x as u64).to_be_bytes().to_vec()),
        ("|u1", |x| vec![x as u8]),
    ];
    for (descr, of) in cases {
        for (fortran, stored) in [("False", rows), ("True", by_column)] {
            let (_folder, path) = folder_with("t.npy", &npy(descr, fortran, "(2, 3)", &bytes(stored, of)));
            assert_eq!(read_npy(&path).expect(descr).values, rows, "{descr}, Fortran order {fortran}");
        }
    }
    let (_folder, path) = folder_with("t.npy", &npy("|b1", "False", "(1, 2)", &[1, 0]));
    assert_eq!(read_npy(&path).expect("booleans").values, [1.0, 0.0]);
    let beyond: Vec<u8> = (1i64 << 53 | 1).to_le_bytes().to_vec();
    for (descr, data, word) in [("<i8", beyond, "2^53"), ("<U2", vec![0; 8], "<U2")] {
        let (_folder, path) = folder_with("t.npy", &npy(descr, "False", "(1, 1)", &data));
        assert!(read_npy(&path).expect_err("refused").to_string().contains(word), "{descr}");
    }
}

/// The plan of an experiment on a table.
fn plan(folder: &Path, data: &str) -> Result<Plan<'static>, String> {
    let text = format!("(name: \"t\", data: ({data}), teacher: (layers: 1, hidden: []), stages: [MaximumLikelihood(steps: 10, batch: 64)])");
    let path = folder.join("t.ron");
    std::fs::write(&path, &text).expect("written");
    Plan::new(Spec::parse(&text)?, &path).map_err(|error| error.to_string())
}

#[test]
fn grids_are_found_out_told_or_left_alone() {
    let rows: String = (0..500u32)
        .map(|i| {
            let z = f64::from(i * 7919 % 1000) / 1000.0;
            format!("{},{},{}\n", (20.0 * z * z).round() / 10.0, 5 * (i * 31 % 17), f64::from(i).sin())
        })
        .collect();
    let (folder, _) = folder_with("t.csv", format!("t,five,x\n{rows}").as_bytes());
    let source = "source: Csv(path: \"t.csv\")";
    let kinds = |data: &str| -> Result<Vec<Kind>, String> {
        Ok(plan(folder.path(), &format!("{source}, {data}"))?.columns.0.into_iter().map(|column| column.kind).collect())
    };
    let grid = |step: f64| Kind::Grid(Grid { origin: 0.0, step });
    assert_eq!(kinds(""), Ok(vec![grid(0.1), grid(5.0), Kind::Real]));
    assert_eq!(kinds("integers: [\"five\"]"), Ok(vec![grid(0.1), grid(1.0), Kind::Real]));
    assert_eq!(kinds("grids: None"), Ok(vec![]));
    assert_eq!(kinds("grids: Only([(column: \"five\", step: 2.5)])"), Ok(vec![Kind::Real, grid(2.5), Kind::Real]));
    let found = plan(folder.path(), source).expect("a plan");
    let note = found.table_notes.join("\n");
    assert!(note.contains("`t` (steps of 0.1)") && note.contains("`five` (steps of 5)"), "{note}");
    // Dithered for the fit, with nothing lost.
    let train = &found.data.as_ref().expect("data").train;
    assert!(train.chunks(3).any(|row| row[1] % 5.0 != 0.0));
    for (data, words) in [
        ("grids: Only([(column: \"five\", step: 2.0)])", &["`five`", "data.grids", "+ k"][..]),
        ("grids: Only([(column: \"five\", step: 0.0)])", &["step", "above 0"]),
        ("grids: Only([(column: \"five\", step: inf)])", &["step", "finite"]),
        ("grids: Only([(column: \"five\", step: 1.0, origin: NaN)])", &["origin", "finite"]),
        ("grids: Only([(column: \"six\", step: 1.0)])", &["data.grids", "`six`"]),
        ("grids: Only([(column: \"five\", step: 5.0)]), integers: [\"five\"]", &["`five`", "once"]),
        ("grids: Some", &["Auto"]),
        ("integers: [\"t\"]", &["`t`", "whole numbers"]),
        ("categories: [\"six\"]", &["data.categories", "`six`"]),
        ("categories: [\"x\"]", &["`x`", "distinct"]),
        ("dates: [\"six\"]", &["data.dates", "`six`"]),
        ("dates: [\"x\"]", &["`x`", "ISO 8601"]),
        ("categories: [\"five\"], dates: [\"five\"]", &["`five`", "twice"]),
        ("weights: \"six\"", &["data.weights", "`six`"]),
        ("weights: \"x\"", &["row", "`x`", "0 or more"]),
    ] {
        let error = kinds(data).expect_err(data);
        words.iter().for_each(|word| assert!(error.contains(word), "{data}: {error} should say {word}"));
    }
    for (source, word) in [
        ("header: maybe", "header"),
        ("header: 1", "neither `true` nor `false`"),
        ("delimiter: \"ab\"", "delimiter"),
        ("delimiter: 'x'", "delimiter is 'x'"),
        ("decimal: '-'", "decimal is '-'"),
        ("decimal: ',', delimiter: ','", "decimal point too"),
        ("comment: ','", "comment is ','"),
        ("comment: 'é'", "comment is 'é'"),
    ] {
        let error =
            plan(folder.path(), &format!("source: Csv(path: \"t.csv\", {source})")).map(drop).expect_err(source);
        assert!(error.contains(word), "{source}: {error} should say {word}");
    }
}

#[test]
fn columns_of_no_plain_numbers_and_supports_do_not_meet() {
    let rows: String = (1..60).map(|i| format!("{},{}\n", i % 5, f64::from(i).sqrt())).collect();
    let (folder, _) = folder_with("t.csv", format!("mu,tau\n{rows}").as_bytes());
    let target = "target: Expression(parameters: {\"mu\": Real, \"tau\": Positive}, log_density: \"mu ~ normal(0, 1); tau ~ gamma(2, 1)\")";
    let plan = |of_data: &str, target: &str| {
        let text = format!(
            "(name: \"t\", {target}, data: (source: Csv(path: \"t.csv\"){of_data}), teacher: (layers: 1, hidden: []), \
             stages: [MaximumLikelihood(steps: 10, batch: 8)])"
        );
        Plan::new(Spec::parse(&text).expect("an experiment"), &folder.path().join("t.ron")).map_err(|e| e.to_string())
    };
    // A target's space has no grids of itself, supports or not.
    assert!(plan("", target).expect("a plan").columns.is_plain());
    assert!(plan("", "target: Banana()").expect("a plan").columns.is_plain());
    for data in [", integers: [\"mu\"]", ", grids: Only([(column: \"mu\", step: 1.0)])", ", categories: [\"mu\"]"] {
        let error = plan(data, target).map(drop).expect_err(data);
        assert!(error.contains("supports") && error.contains("`mu`"), "{data}: {error}");
    }
}

#[test]
fn weights_are_taken_from_their_column() {
    // A normal distribution of deviation 2, weighted to one of mean 1 and deviation 1.
    let mut z = vec![0.0; 20_000];
    Seed(1).stream("rows").normals(0, 1, &mut z);
    let weight = |x: f64| (-(x - 1.0) * (x - 1.0) / 2.0 + x * x / 8.0).exp();
    let rows: String = z.iter().map(|z| format!("{},{}\n", 2.0 * z, weight(2.0 * z))).collect();
    let (folder, _) = folder_with("t.csv", format!("x,w\n{rows}-1,0\n-1,0\n").as_bytes());
    for columns in ["", ", columns: [\"x\"]"] {
        let plan = plan(folder.path(), &format!("source: Csv(path: \"t.csv\"{columns}), weights: \"w\", test: 0.3"));
        let plan = plan.expect("a plan");
        let data = plan.data.expect("data");
        assert_eq!(plan.names, ["x"]);
        let notes = plan.table_notes.join("\n");
        assert!(notes.contains("2 of weight 0") && notes.contains("of 6000 rows for tests are left"), "{notes}");
        for (rows, weights) in [(&data.train, &data.weights[0]), (&data.validation, &data.weights[1])] {
            assert_eq!(rows.len(), weights.len());
            assert!((weights.iter().sum::<f64>() / weights.len() as f64 - 1.0).abs() < 1e-9);
            assert!(rows
                .iter()
                .zip(weights)
                .all(|(x, w)| (w / weights[0] - weight(*x) / weight(rows[0])).abs() < 1e-6 * w / weights[0]));
        }
        // What is left for tests, and what scales are made from, are of the weighted distribution.
        for rows in [&data.test[..], &data.by_weight(1)] {
            let n = rows.len() as f64;
            let mean = rows.iter().sum::<f64>() / n;
            let variance = rows.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            assert!((mean - 1.0).abs() < 5.0 / n.sqrt().min(60.0), "mean {mean} of {n}");
            assert!((variance - 1.0).abs() < 5.0 * (2.0f64).sqrt() / n.sqrt().min(60.0), "variance {variance} of {n}");
        }
        assert!(
            (plan.standardisation.shift[0] - 1.0).abs() < 0.05 && (plan.standardisation.scale[0] - 1.0).abs() < 0.05
        );
    }
    let zeros: String = (0..100).map(|i| format!("{i},0\n")).collect();
    std::fs::write(folder.path().join("t.csv"), format!("x,w\n{zeros}")).expect("written");
    let error = plan(folder.path(), "source: Csv(path: \"t.csv\"), weights: \"w\"").map(drop).expect_err("refused");
    assert!(error.contains("`w`") && error.contains("0 in every row"), "{error}");
    let one: String = (0..100).map(|i| format!("{i},{}\n", if i == 7 { 1e12 } else { 1.0 })).collect();
    std::fs::write(folder.path().join("t.csv"), format!("x,w\n{one}")).expect("written");
    let error = plan(folder.path(), "source: Csv(path: \"t.csv\"), weights: \"w\"").map(drop).expect_err("refused");
    assert!(error.contains("rows for tests are left"), "{error}");
}

fn flowdistill(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::cargo_bin("flowdistill").expect("the binary").current_dir(folder).args(args).output().expect("run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Semicolons, decimal commas, a comment, a quoted word with a semicolon, a grid, a day, a yes and no, and weights.
fn survey(rows: u32) -> String {
    let mut text = "# a survey\nincome;sex;smokes;day;temperature;w\n".to_string();
    for i in 0..rows {
        let wave = f64::from(i).sin();
        let comma = |number: f64| format!("{number}").replace('.', ",");
        let sex = ["male", "female", "\"other; none\""][(i * 7 % 11 % 3) as usize];
        let smokes = if (i * 13) % 5 < 2 { "Yes" } else { "no" };
        let day = format!("2024-02-{:02}", 1 + (i * 5) % 29);
        let temperature = (200.0 + 15.0 * wave + f64::from(i % 9)).round() / 10.0;
        let (income, weight) = ((2.0 + wave + 0.1 * f64::from(i % 13)).exp(), 0.5 + f64::from(i % 4) / 2.0);
        text += &format!("{};{sex};{smokes};{day};{};{}\n", comma(income), comma(temperature), comma(weight));
    }
    text
}

#[test]
fn a_table_comes_back_in_its_own_words() {
    let (folder, _) = folder_with("survey.csv.gz", &zipped(survey(800).as_bytes()));
    let experiment = r#"(
        name: "survey",
        data: (
            source: Csv(path: "survey.csv.gz", decimal: ','),
            transforms: [Log(column: "income")],
            categories: ["sex"],
            dates: ["day"],
            weights: "w",
            test: 0.2,
        ),
        teacher: (layers: 2, hidden: [16]),
        student: LikeTeacher,
        stages: [
            MaximumLikelihood(steps: 200, batch: 64),
            ReverseKl(against: Teacher, training: (steps: 100, batch: 64)),
        ],
        evaluation: (draws: 1000),
    )"#;
    std::fs::write(folder.path().join("survey.ron"), experiment).expect("written");
    let (code, found, error) = flowdistill(folder.path(), &["check", "survey.ron"]);
    assert_eq!(code, Some(0), "{error}");
    for word in
        ["`sex` (3 categories)", "`smokes` (no/Yes)", "`day` (days)", "`temperature` (steps of 0.1)", "weighted by `w`"]
    {
        assert!(found.contains(word), "{found} should say {word}");
    }
    let (code, _, talk) = flowdistill(folder.path(), &["run", "survey.ron"]);
    assert!(
        code == Some(0) && talk.contains("`temperature` (steps of 0.1)") && talk.contains("of 160 rows for tests"),
        "{talk}"
    );

    let model = "runs/survey/teacher.safetensors";
    let (code, drawn, error) = flowdistill(folder.path(), &["sample", model, "-n", "2000", "--log-prob"]);
    assert_eq!(code, Some(0), "{error}");
    let mut rows = csv::Reader::from_reader(drawn.as_bytes());
    assert_eq!(rows.headers().expect("a header"), vec!["income", "sex", "smokes", "day", "temperature", "log_prob"]);
    let mut seen = std::collections::HashSet::new();
    for row in rows.records() {
        let row = row.expect("a row");
        assert!(row[0].parse::<f64>().expect("a number") > 0.0);
        assert!(["male", "female", "other; none"].contains(&&row[1]) && ["Yes", "no"].contains(&&row[2]), "{row:?}");
        assert!(row[3].len() == 10 && row[3].starts_with("20"), "{row:?}");
        let temperature: f64 = row[4].parse().expect("a number");
        assert!(row[4].len() <= 5 && ((10.0 * temperature) - (10.0 * temperature).round()).abs() < 1e-9, "{row:?}");
        seen.insert((row[1].to_string(), row[2].to_string()));
    }
    assert_eq!(seen.len(), 6, "all words are drawn: {seen:?}");

    // What was drawn is read again, from a file and from standard input, and an array of its numbers is the same.
    std::fs::write(folder.path().join("drawn.csv"), &drawn).expect("written");
    let (code, log_prob, error) = flowdistill(folder.path(), &["log-prob", model, "drawn.csv"]);
    assert_eq!((code, log_prob.lines().count()), (Some(0), 2001), "{error}");
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    let piped =
        command.current_dir(folder.path()).args(["log-prob", model, "-"]).write_stdin(drawn).output().expect("run");
    assert_eq!(String::from_utf8_lossy(&piped.stdout), log_prob);
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    let args = ["check", "survey.ron", "--set", "data.source.path=\"-\""];
    let piped = command.current_dir(folder.path()).args(args).write_stdin(zipped(survey(800).as_bytes())).output();
    assert_eq!(String::from_utf8_lossy(&piped.expect("run").stdout).lines().nth(3), found.lines().nth(3));
    let array = ["sample", model, "-n", "2000", "-o", "drawn.npy"];
    assert_eq!(flowdistill(folder.path(), &array).0, Some(0));
    assert_eq!(flowdistill(folder.path(), &["log-prob", model, "drawn.npy"]).1, log_prob);
    // The user's own table, decimal commas and all.
    let (code, own, error) = flowdistill(folder.path(), &["log-prob", model, "survey.csv.gz", "--decimal-comma"]);
    assert_eq!((code, own.lines().count()), (Some(0), 801), "{error}");

    // What the flow drew has its exact density, whatever its coordinates are called.
    let dithered = ["sample", model, "-n", "50", "--log-prob", "--dithered", "-o", "dithered.csv"];
    assert_eq!(flowdistill(folder.path(), &dithered).0, Some(0));
    let table = read(&folder.path().join("dithered.csv"), None).expect("read");
    assert_eq!(table.names[1..4], ["sex=female", "sex=male", "sex=other; none"]);
    assert!((0..50).any(|row| table.row(row)[5].fract() != 0.0), "days are dithered");
    let (_, again, _) = flowdistill(folder.path(), &["log-prob", model, "dithered.csv"]);
    for (row, line) in again.lines().skip(1).enumerate() {
        let (found, right): (f64, f64) = (line.parse().expect("a number"), table.row(row)[7]);
        assert!((found - right).abs() < 1e-4 * (1.0 + right.abs()), "{found} for {right}");
    }
    for (text, word) in [
        ("income,sex,smokes,day,temperature\n1,none,no,2024-02-01,20\n", "`female`, `male`, `other; none`"),
        ("income,sex,smokes,day,temperature\n1,male,maybe,2024-02-01,20\n", "`no`, `Yes`"),
        ("income,sex,smokes,day,temperature\n1,male,no,yesterday,20\n", "ISO 8601"),
        ("income,sex,smokes,day\n1,male,no,2024-02-01\n", "no column `temperature`"),
    ] {
        std::fs::write(folder.path().join("wrong.csv"), text).expect("written");
        let (code, _, error) = flowdistill(folder.path(), &["log-prob", model, "wrong.csv"]);
        assert!(code == Some(2) && error.contains(word), "{error} should say {word}");
    }
}

#[test]
fn new_experiments_take_words_and_days_and_leave_names_out() {
    let rows: String = (0..300u32)
        .map(|i| {
            format!(
                "{},person {i},{},{}\n",
                f64::from(i).cos(),
                ["a", "b", "c"][(i % 3) as usize],
                ["2024-01-01", "2024-03-05"][(i % 2) as usize]
            )
        })
        .collect();
    let (folder, _) = folder_with("t.csv", format!("x,name,group,day\n{rows}").as_bytes());
    let numbers: String = (0..300u32).map(|i| format!("{} {}\n", f64::from(i).cos(), f64::from(i).sin())).collect();
    std::fs::write(folder.path().join("bare.txt"), numbers).expect("written");
    for (table, words) in [
        (
            "t.csv",
            &["columns: [\"x\", \"group\", \"day\"]", "categories: [\"group\"]", "dates: [\"day\"]", "\"name\""][..],
        ),
        ("bare.txt", &["header: false", "\"c0\", \"c1\""]),
    ] {
        let (code, _, error) = flowdistill(folder.path(), &["new", "mine.ron", "--data", table, "--force"]);
        assert_eq!(code, Some(0), "{error}");
        let text = std::fs::read_to_string(folder.path().join("mine.ron")).expect("text");
        words.iter().for_each(|word| assert!(text.contains(word), "{text} should say {word}"));
        let (code, _, error) = flowdistill(folder.path(), &["check", "mine.ron"]);
        assert_eq!(code, Some(0), "{error}");
    }
    // A first line that counts the columns may be their names.
    std::fs::write(folder.path().join("bare.txt"), "0 1\n0.5 0.1\n").expect("written");
    let (code, _, error) = flowdistill(folder.path(), &["new", "mine.ron", "--data", "bare.txt", "--force"]);
    assert!(code == Some(2) && error.contains("header: true"), "{error}");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_files_are_refused_by_a_build_that_cannot_read_them() {
    let (folder, path) = folder_with("t.parquet", b"PAR1");
    assert!(read(&path, None).expect_err("refused").to_string().contains("feature `parquet`"));
    let error = plan(folder.path(), "source: Parquet(path: \"t.parquet\")").map(drop).expect_err("refused");
    assert!(error.contains("feature `parquet`"), "{error}");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_files_are_tables() {
    use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join("t.parquet");
    let schema = "message t { required double x; optional int64 n; required binary s (UTF8); required boolean b; required int32 day (DATE); }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).expect("a schema"));
    for compression in [parquet::basic::Compression::UNCOMPRESSED, parquet::basic::Compression::SNAPPY] {
        let properties = parquet::file::properties::WriterProperties::builder().set_compression(compression).build();
        let file = std::fs::File::create(&path).expect("a file");
        let mut writer = parquet::file::writer::SerializedFileWriter::new(file, schema.clone(), properties.into())
            .expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        let text = ["u", "v", "u"].map(ByteArray::from);
        let mut column = 0;
        while let Some(mut to) = group.next_column().expect("a column") {
            match column {
                0 => to.typed::<DoubleType>().write_batch(&[0.5, 1.5, 2.5], None, None),
                1 => to.typed::<Int64Type>().write_batch(&[7, 9], Some(&[1, 0, 1]), None),
                2 => to.typed::<ByteArrayType>().write_batch(&text, None, None),
                3 => to.typed::<BoolType>().write_batch(&[true, false, false], None, None),
                _ => to.typed::<Int32Type>().write_batch(&[0, 1, 19782], None, None),
            }
            .expect("written");
            to.close().expect("closed");
            column += 1;
        }
        group.close().expect("closed");
        writer.close().expect("closed");
        let options = CsvOptions { kinds: vec![categories("s")], ..CsvOptions::default() };
        let read =
            |options: &CsvOptions| flowdistill::data::read_parquet(&path, options).map_err(|error| error.to_string());
        let error = read(&options).expect_err("refused");
        assert!(error.contains("row 2") && error.contains("`n`") && error.contains("missing: Drop"), "{error}");
        let found = read(&CsvOptions { drop_missing: true, ..options.clone() }).map(|_| ()).expect_err("one word");
        assert!(found.contains("`s`"), "{found}");
        let columns = Some(["day", "s", "b", "x"].map(String::from).to_vec());
        let found = read(&CsvOptions { columns, ..options }).expect("read");
        assert_eq!(found.table.values, [0.0, 0.0, 1.0, 0.5, 1.0, 1.0, 0.0, 1.5, 19782.0, 0.0, 0.0, 2.5]);
        assert_eq!(found.columns.0[0].kind, Kind::Days);
        assert_eq!(found.columns.0[2].kind, Kind::Boolean { words: ["false".into(), "true".into()] });
    }
    let bytes = std::fs::read(&path).expect("read");
    for len in (0..bytes.len()).step_by(23) {
        std::fs::write(&path, &bytes[..len]).expect("written");
        assert_eq!(read(&path, None).expect_err("refused").exit_code(), 2, "{len}");
    }
}
