//! The laws of base densities: normalisation, draws that follow the density, slopes against central differences, model files.

mod common;

use common::*;
use flowdistill::flow::{Base, BaseConfig, FlowConfig, Model, Orientation, Standardisation, StudentT};
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;

/// The bases that are tested, in one dimension or more, with parameters off their start.
fn bases(dim: usize) -> Vec<(String, Box<dyn Base>)> {
    let raws = [0.5, 1.0, 2.0, 7.5, 300.0].map(StudentT::raw);
    let mut bases: Vec<(String, Box<dyn Base>)> = Vec::new();
    for first in 0..raws.len() {
        let raw: Vec<f64> = (0..dim).map(|j| raws[(first + j) % raws.len()]).collect();
        bases.push((format!("Student-t, from {first}"), Box::new(StudentT::new(&raw))));
    }
    bases
}

/// ∫ f over the real line by the midpoint rule in z = sinh(t).
fn integral(f: impl Fn(f64) -> f64) -> f64 {
    let (n, range) = (200_000, 90.0);
    let h = 2.0 * range / f64::from(n);
    let at = |i: i32| -range + (f64::from(i) + 0.5) * h;
    (0..n).map(|i| f(at(i).sinh()) * at(i).cosh() * h).sum()
}

#[test]
fn densities_of_one_coordinate_integrate_to_one() {
    for (name, base) in bases(1) {
        let total = integral(|z| base.log_prob(&[z]).exp());
        assert!((total - 1.0).abs() < 1e-6, "{name}: {total}");
    }
}

#[test]
fn draws_follow_the_density() {
    let rows = 20_000;
    for (name, base) in bases(3) {
        let width = base.noise_width();
        let noise = normal_rows(rows, width, &name);
        let mut points = vec![0.0; rows * 3];
        points.chunks_exact_mut(3).zip(noise.chunks_exact(width)).for_each(|(z, noise)| base.push(noise, z));
        for j in 0..3 {
            let mut column: Vec<f64> = points.iter().skip(j).step_by(3).copied().collect();
            column.sort_by(f64::total_cmp);
            // The marginal's density up to a factor, since the coordinates are independent; summed up on sinh-spaced points.
            let (n, range) = (400_000, 45.0);
            let h = 2.0 * range / n as f64;
            let (mut sum, mut next, mut worst) = (0.0, 0, 0.0f64);
            let density = |z: f64| {
                let mut point = [0.0; 3];
                point[j] = z;
                base.log_prob(&point).exp()
            };
            let total: f64 =
                (0..n).map(|i| -range + (i as f64 + 0.5) * h).map(|t: f64| density(t.sinh()) * t.cosh() * h).sum();
            for i in 0..n {
                let t: f64 = -range + (i as f64 + 0.5) * h;
                sum += density(t.sinh()) * t.cosh() * h;
                while next < rows && column[next] <= (t + 0.5 * h).sinh() {
                    worst = worst.max((sum / total - next as f64 / rows as f64).abs());
                    next += 1;
                }
            }
            // Kolmogorov's distribution: exceeded by one sample in 10⁵, and there are 15.
            assert!(worst < 2.47 / (rows as f64).sqrt(), "{name}, coordinate {j}: {worst}");
        }
    }
}

#[test]
fn scores_and_slopes_are_central_differences() {
    for dim in [1, 3] {
        for (name, base) in bases(dim) {
            let z = normal_rows(1, dim, &name);
            let mut score = vec![0.0; dim];
            base.score(&z, &mut score);
            for j in 0..dim {
                let at = |shift: f64| {
                    let mut moved = z.clone();
                    moved[j] += shift;
                    base.log_prob(&moved)
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((score[j] - difference).abs() < 1e-6 * (1.0 + difference.abs()), "{name}: score {j}");
            }
        }
    }
    for freedom in [0.5, 2.0, 40.0] {
        let raw = StudentT::raw(freedom);
        for row in 0..50 {
            let noise = normal_rows(1, 2, &format!("{freedom} {row}"));
            let at = |shift: f64| {
                let (base, mut z) = (StudentT::new(&[raw + shift]), [0.0]);
                base.push(&noise, &mut z);
                z[0]
            };
            let (mut slope, mut place) = ([0.0], [9]);
            StudentT::new(&[raw]).push_slopes(0, &noise, &mut place, &mut slope);
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope[0] - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{freedom}: {slope:?} {difference}"
            );
            assert_eq!(place[0], 0);
            let at = |shift: f64| StudentT::new(&[raw + shift]).log_prob(&noise[..1]);
            StudentT::new(&[raw]).log_prob_slopes(&noise[..1], &mut slope);
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope[0] - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{freedom}: {slope:?} {difference}"
            );
        }
    }
}

#[test]
fn draws_far_out_are_finite() {
    let base = StudentT::new(&[StudentT::raw(0.5), StudentT::raw(1000.0), 200.0]);
    let mut z = [0.0; 3];
    base.push(&[8.5, 0.0, 8.5, 0.0, 8.5, 0.0], &mut z);
    assert!(z.iter().all(|z| z.is_finite() && *z > 8.0), "{z:?}");
    let mut score = [0.0; 3];
    base.score(&z, &mut score);
    assert!(base.log_prob(&z).is_finite() && score.iter().all(|s| s.is_finite()));
}

fn model(base: BaseConfig) -> Model {
    let config = FlowConfig { layers: 2, hidden: vec![7], base, ..FlowConfig::default() };
    Model {
        flow: random_flow::<f32>(3, &config, Orientation::Sampling),
        standardisation: Standardisation::identity(3),
        names: ["a", "b", "c"].map(String::from).to_vec(),
        integers: vec![],
    }
}

#[test]
fn model_files_carry_the_base() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let model = model(BaseConfig::StudentT { freedom: 3.0 });
    assert_eq!(model.flow.parameter_count(), model.flow.config().parameters(3));
    model.save(&path).expect("saved");
    let loaded = Model::load(&path).expect("loaded");
    assert_eq!(loaded.flow.config(), model.flow.config());
    assert_eq!(loaded.flow.snapshot(), model.flow.snapshot());
    let draws = |model: &Model| {
        let (mut points, mut log_prob) = (vec![0.0; 30], vec![0.0; 10]);
        let stream = Seed(1).stream("draws");
        model.freeze::<f64>().draw(flowdistill::flow::Method::Cached, &stream, 5, &mut points, &mut log_prob);
        (points, log_prob)
    };
    assert_eq!(draws(&model), draws(&loaded));
}

#[test]
fn model_files_of_format_1_have_a_normal_base() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let model = model(BaseConfig::Normal);
    model.save(&path).expect("saved");
    let bytes = std::fs::read(&path).expect("read");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("metadata");
    let json = &metadata.metadata().as_ref().expect("metadata")["flowdistill"];
    let mut header: serde_json::Value = serde_json::from_str(json).expect("json");
    header["format"] = 1.into();
    header["flow"].as_object_mut().expect("a flow").remove("base").expect("a base");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("whole");
    let metadata = std::collections::HashMap::from([("flowdistill".to_string(), header.to_string())]);
    let old = safetensors::serialize(file.tensors(), Some(metadata)).expect("serialised");
    std::fs::write(&path, old).expect("written");
    let loaded = Model::load(&path).expect("loaded");
    assert_eq!(loaded.flow.config().base, BaseConfig::Normal);
    assert_eq!(loaded.flow.snapshot(), model.flow.snapshot());
}

#[test]
fn wrong_bases_are_refused() {
    for freedom in [0.0, -1.0, 0.1, 1e9, f64::NAN, f64::INFINITY] {
        let config = FlowConfig { base: BaseConfig::StudentT { freedom }, ..FlowConfig::default() };
        let faults = config.faults(3);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("base: freedom is") && faults[0].contains("0.5 to 1000"), "{faults:?}");
    }
}
