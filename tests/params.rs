//! Model files: round trips, and every way in which they can be wrong.

mod common;

use common::*;
use flowdistill::conditioner::Activation;
use flowdistill::data::{Column, Columns, Grid, Kind};
use flowdistill::flow::{FlowConfig, Model, Orientation, Standardisation};
use flowdistill::params::Parameters;
use std::collections::HashMap;
use std::path::Path;

/// Three columns, of which the second is of `kind`.
fn columns(kind: Kind) -> Columns {
    Columns(vec![Column::real("a"), Column { name: "b".into(), kind }, Column::real("c")])
}

fn model() -> Model {
    let config =
        FlowConfig { layers: 2.into(), hidden: vec![7, 5], activation: Activation::Silu, ..FlowConfig::default() };
    Model {
        flow: random_flow::<f32>(3, &config, Orientation::Sampling),
        standardisation: Standardisation {
            shift: vec![1e9, 0.0, -3.0],
            scale: vec![1e-3, 2.0, 10.0],
            links: vec![],
            tails: vec![],
            factor: vec![],
            given: 0,
        },
        names: ["a", "b", "c"].map(String::from).to_vec(),
        columns: columns(Kind::Grid(Grid::WHOLE)),
        constraint: Default::default(),
        held_out: Vec::new(),
    }
}

#[test]
fn a_model_comes_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let model = model();
    model.save(&path).expect("saved");
    let loaded = Model::load(&path).expect("loaded");
    assert_eq!(loaded.flow.snapshot(), model.flow.snapshot());
    assert_eq!(loaded.flow.config(), model.flow.config());
    assert_eq!(loaded.flow.orientation(), model.flow.orientation());
    assert_eq!((loaded.standardisation, loaded.names), (model.standardisation.clone(), model.names.clone()));
    assert_eq!(loaded.columns, model.columns);
    let first = std::fs::read(&path).expect("read");
    model.save(&path).expect("saved again");
    assert_eq!(first, std::fs::read(&path).expect("read"), "the same model gives the same bytes");
}

#[test]
fn log_densities_are_in_the_users_units() {
    let model = model();
    let frozen = model.freeze::<f64>();
    let noise = normal_rows(20, 3, "noise");
    let (mut points, mut log_prob) = (vec![0.0; 60], vec![0.0; 20]);
    frozen.push(flowdistill::flow::Method::Cached, &noise, &mut points, &mut log_prob);
    let (mut inner, mut inner_log_prob) = (vec![0.0; 60], vec![0.0; 20]);
    model.flow.freeze::<f64>().push(&noise, &mut inner, &mut inner_log_prob);
    let scales = [1e-3f64, 2.0, 10.0];
    let jacobian: f64 = scales.iter().map(|s| s.ln()).sum();
    for row in 0..20 {
        assert!((log_prob[row] - (inner_log_prob[row] - jacobian)).abs() < 1e-12);
        assert!((points[3 * row + 2] - (10.0 * inner[3 * row + 2] - 3.0)).abs() < 1e-9);
    }
    // The large shift costs digits of the first coordinate, not of the density.
    let mut asked = vec![0.0; 20];
    frozen.log_prob(&points, &mut asked);
    assert!(disagreement(asked, log_prob) < 1e-3);
}

#[test]
fn a_frozen_model_has_the_gradient_of_its_density_behind_links_too() {
    use flowdistill::flow::Link;
    let config = FlowConfig { layers: 2.into(), hidden: vec![7], ..FlowConfig::default() };
    let standardisation = Standardisation {
        shift: vec![0.5, -1.0, 0.2],
        scale: vec![2.0, 0.5, 1.5],
        links: vec![Link::Identity, Link::Above(2.0), Link::Between(-1.0, 3.0)],
        tails: vec![],
        factor: vec![1.0, 0.0, 0.0, -0.6, 0.8, 0.0, 0.3, 0.2, 1.1],
        given: 0,
    };
    let flow = random_flow::<f32>(3, &config, Orientation::Density);
    let model = Model {
        flow,
        standardisation,
        names: vec![String::new(); 3],
        columns: Default::default(),
        constraint: Default::default(),
        held_out: Vec::new(),
    }
    .freeze::<f64>();
    let point = [0.7, 2.9, 1.3];
    let (mut value, mut gradient) = ([0.0], [0.0; 3]);
    model.log_prob_and_gradient(&point, &mut value, &mut gradient);
    for i in 0..3 {
        let at = |shift: f64| {
            let (mut moved, mut value) = (point, [0.0]);
            moved[i] += shift;
            model.log_prob(&moved, &mut value);
            value[0]
        };
        let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((gradient[i] - difference).abs() < 1e-6 * (1.0 + difference.abs()), "coordinate {i}");
    }
    let mut outside = [0.0];
    model.log_prob(&[0.7, 1.0, 1.3], &mut outside);
    assert_eq!(outside[0], f64::NEG_INFINITY);
}

/// Rewrites a saved model, tensor by tensor.
fn rewrite(path: &Path, edit: impl Fn(&mut Vec<(String, Vec<f32>)>, &mut serde_json::Value)) {
    let bytes = std::fs::read(path).expect("read");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("metadata");
    let json = &metadata.metadata().as_ref().expect("metadata")["flowdistill"];
    let mut header: serde_json::Value = serde_json::from_str(json).expect("json");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("whole");
    let floats = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let mut tensors: Vec<(String, Vec<f32>)> =
        file.iter().map(|(name, view)| (name.to_string(), floats(view.data()))).collect();
    // As a program wrote it that knew of no checksum.
    header["format"] = 5.into();
    assert!(header.as_object_mut().and_then(|header| header.remove("checksum")).is_some());
    edit(&mut tensors, &mut header);
    let data: Vec<(String, Vec<u8>)> =
        tensors.into_iter().map(|(name, v)| (name, v.iter().flat_map(|x| x.to_le_bytes()).collect())).collect();
    let views = data.iter().map(|(name, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![bytes.len() / 4], bytes);
        (name, view.expect("a view"))
    });
    let metadata = HashMap::from([("flowdistill".to_string(), header.to_string())]);
    std::fs::write(path, safetensors::serialize(views, Some(metadata)).expect("serialised")).expect("written");
}

#[test]
fn whole_numbers_of_older_models_are_a_grid() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    model().save(&path).expect("saved");
    rewrite(&path, |_, header| {
        header["format"] = 2.into();
        header["integers"] = serde_json::json!([1]);
        drop(header.as_object_mut().map(|header| header.remove("columns")));
    });
    assert_eq!(Model::load(&path).expect("loaded").columns, model().columns);
}

#[test]
fn damaged_models_are_refused_with_the_reason() {
    type Edit = fn(&mut Vec<(String, Vec<f32>)>, &mut serde_json::Value);
    let edits: [(Edit, &str); 16] = [
        (|tensors, _| tensors[0].1[0] = f32::NAN, "must be finite"),
        (|tensors, _| drop(tensors.pop()), "weights"),
        (|tensors, _| tensors.push(("extra".into(), vec![1.0])), "weights"),
        (|tensors, _| tensors[0].0 = "unknown".into(), "missing"),
        (|tensors, _| tensors[0].1.truncate(3), "weights"),
        (
            |tensors, _| {
                let moved = tensors[0].1.pop().expect("a value");
                tensors[1].1.push(moved);
            },
            "values",
        ),
        (|_, header| header["format"] = 99.into(), "newer"),
        (|_, header| header["dim"] = 0.into(), "dimension"),
        (|_, header| header["flow"]["layers"] = 1_000_000_000u64.into(), "layers"),
        (|_, header| header["standardisation"]["scale"][0] = 0.into(), "positive"),
        (|_, header| header["standardisation"]["factor"] = serde_json::json!(vec![1.0; 9]), "triangular"),
        (|_, header| header["integers"] = serde_json::json!([3]), "whole"),
        (|_, header| header["columns"][1]["kind"]["Grid"]["step"] = 0.into(), "`b`"),
        (
            |_, header| header["columns"][1]["kind"] = serde_json::json!({"Categories": {"words": ["x", "y", "z"]}}),
            "b=x",
        ),
        (|_, header| header["standardisation"]["links"] = serde_json::json!([{ "Between": [1.0, 0.0] }]), "links"),
        (|_, header| drop(header["names"].as_array_mut().map(Vec::pop)), "names"),
    ];
    for (edit, word) in edits {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.safetensors");
        model().save(&path).expect("saved");
        rewrite(&path, edit);
        let error = Model::load(&path).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(word), "`{error}` should say `{word}`");
    }
}

#[test]
fn models_of_another_type_or_kind_are_refused() {
    use safetensors::tensor::TensorView;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let bytes = [0u8; 16];
    let tensors = || [("w", TensorView::new(safetensors::Dtype::F64, vec![2], &bytes).expect("a view"))];
    let header = HashMap::from([("flowdistill".to_string(), "{\"format\": 1}".to_string())]);
    for (metadata, word) in [(Some(header), "32-bit"), (None, "not written by this program")] {
        std::fs::write(&path, safetensors::serialize(tensors(), metadata).expect("serialised")).expect("written");
        let message = Model::load(&path).expect_err("refused").to_string();
        assert!(message.contains(word), "{message}");
    }
    let twice = r#"{"__metadata__":{"flowdistill":"{}"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    let file = [&(twice.len() as u64).to_le_bytes()[..], twice.as_bytes(), &bytes].concat();
    std::fs::write(&path, file).expect("written");
    assert!(Model::load(&path).is_err(), "a name that occurs twice");
    // A header that claims more than the file holds is not believed.
    std::fs::write(&path, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).expect("written");
    assert!(Model::load(&path).is_err());
}

#[test]
fn truncated_models_are_refused_at_every_length() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    model().save(&path).expect("saved");
    let bytes = std::fs::read(&path).expect("read");
    for len in 0..bytes.len() {
        std::fs::write(&path, &bytes[..len]).expect("written");
        assert!(Model::load(&path).is_err(), "{len} of {} bytes", bytes.len());
    }
    assert!(Model::load(folder.path()).expect_err("refused").to_string().contains("is a folder"));
    assert!(Model::load(&folder.path().join("none")).is_err());
}

#[test]
fn no_bit_of_a_model_can_change_unseen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    model().save(&path).expect("saved");
    let bytes = std::fs::read(&path).expect("read");
    for flip in 0..10_000 {
        // All of the file and no bit twice, since the step has no factor of the number of bits.
        let bit = flip * 7919 % (8 * bytes.len());
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &damaged).expect("written");
        assert!(Model::load(&path).is_err(), "bit {bit} of {} bytes", bytes.len());
    }
    std::fs::write(&path, &bytes).expect("written");
    assert!(Model::load_noting(&path).expect("whole").1.is_none());
}

#[test]
fn models_of_older_formats_are_read_with_a_note() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    for format in 1..=5 {
        model().save(&path).expect("saved");
        rewrite(&path, |_, header| header["format"] = format.into());
        let (older, note) = Model::load_noting(&path).expect("loaded");
        assert_eq!(older.flow.snapshot(), model().flow.snapshot());
        assert!(note.expect("a note").contains("no checksum"));
    }
    // A newer one without its checksum is damaged.
    model().save(&path).expect("saved");
    rewrite(&path, |_, header| header["format"] = 6.into());
    assert!(Model::load(&path).expect_err("refused").to_string().contains("lacks"));
}
